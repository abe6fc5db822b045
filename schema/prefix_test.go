package schema

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestValidPrefix(t *testing.T) {
	for prefix, valid := range map[string]bool{
		"m2m:": true, "m2m:kc.example.com:": true, "{m2m}:": true, "{m2m}": true, "m2m/kc/": true, "m2m:a:b:": true,
		"m2m:my-app:": true, "m2m:my.app:": true, "m2m:my_app:": true, "m2m:apple:": true, "m2m:App:": true, "app/": true, "m2m:app/": true,
		"": false, "m2m": false, "m2m:kc": false, "m2m-": false, "m2m.": false, "m2m_": false, "m2m:ü": false,
		"m2m:app:": false, "m2m:kc:org:": false, "m2m:user:kc:": false, "m2m/written:": false, "m2m:kc:app:x:": false, "app:": false, "m2m:reuse:": false, "m2m:reused:": true,
	} {
		if err := ValidPrefix(prefix); (err == nil) != valid {
			t.Errorf("ValidPrefix(%q) = %v, want valid: %t", prefix, err, valid)
		}
	}
}

// TestDerivedPrefix: a configuration without a prefix is never refused for it,
// whatever the issuer's host is called.
func TestDerivedPrefix(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://Example.kinde.com":     "m2m:example.kinde.com:",
		"http://app:8080":               "m2m:app.:",
		"http://org":                    "m2m:org.:",
		"http://user/realms/a":          "m2m:user.:",
		"http://written":                "m2m:written.:",
		"http://reuse":                  "m2m:reuse.:",
		"http://app.:8080":              "m2m:app.:",
		"http://my-app:8080":            "m2m:my-app:",
		"http://my_app":                 "m2m:my_app:",
		"http://app.example.com":        "m2m:app.example.com:",
		"http://example.app":            "m2m:example.app:",
		"http://[fe80::1]:8080/realms":  "m2m:fe80::1:",
		"http://[fe80::1%25app]/realms": "m2m:fe80::1%app.:",
	} {
		cfg, err := Parse(minimal(t, "issuer", issuer, "jwks_uri", "https://a.example/jwks", "management_audiences", []any{}))
		if err != nil {
			t.Errorf("%s: %v", issuer, err)
			continue
		}
		if cfg.Prefix != want {
			t.Errorf("%s: prefix %s, want %s", issuer, cfg.Prefix, want)
		}
	}
}

// TestKeysAreUnambiguous: two keys below valid prefixes are the same only if
// prefix, segment and identifier are. Keys are cut at every place, so that each
// reading that one has is tried.
func TestKeysAreUnambiguous(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{"m2m", "kc", "a", "app", "org", "user", "written", "my-", ":", ":", ":", " ", "/", ".", "{", "}", "ü"}
	text := func(n int) string {
		var b strings.Builder
		for range random.IntN(n) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		return b.String()
	}
	keys := 0
	for range 40_000 {
		prefix, segment, id := text(8), segments[random.IntN(len(segments))], text(8)
		if ValidPrefix(prefix) != nil {
			continue
		}
		keys++
		key := prefix + segment + ":" + id
		for i := range key {
			if ValidPrefix(key[:i]) != nil {
				continue
			}
			for _, other := range segments {
				if rest, ok := strings.CutPrefix(key[i:], other+":"); ok && (i != len(prefix) || other != segment || rest != id) {
					t.Fatalf("%s is %s of %q below %q, and %s of %q below %q", key, segment, id, prefix, other, rest, key[:i])
				}
			}
		}
	}
	if keys < 2_000 {
		t.Errorf("only %d keys were tried", keys)
	}
	for _, kind := range []Kind{Application, Organization, User} { // the segments are those of the keys
		if _, ok := strings.CutSuffix(kind.Key("p:", ""), ":"); !ok || ValidPrefix(kind.Key("p:", "")) == nil {
			t.Errorf("the key of %s has another segment", kind)
		}
	}
	for _, key := range []string{PurgeMarksKey("p:"), SharedAnswerKey("p:", "name")} {
		if segment, _, _ := strings.Cut(strings.TrimPrefix(key, "p:"), ":"); !slices.Contains(segments, segment) {
			t.Errorf("the key %s has another segment", key)
		}
	}
}
