package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/plugin/jws"
)

// What docs/verify.md says, in each snippet alike.
const (
	verifyPage     = "docs/verify.md"
	verifyURL      = "https://gateway.example.com/m2m/jwks.json"
	verifyIssuer   = "https://example.kinde.com"
	verifyAudience = "https://api.example.com"
)

// TestVerifyPage runs the page's programs: they accept the gateway's tokens and
// those of its next key, without a restart, and no others.
func TestVerifyPage(t *testing.T) {
	for name, l := range languages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l.prepare(t, dir)
			for _, kind := range []string{"rsa", "ec", "ed25519"} {
				t.Run(kind, func(t *testing.T) {
					first, next := generated(t, kind), generated(t, kind)
					before, after := ringOf(t, first), ringOf(t, next, first)
					p := startPublisher(t, before)
					api := l.start(t, dir, p, l.pause...)
					api.expect("a good token", signed(t, before, nil), "200")
					for what, token := range forged(t, before) {
						api.expect(what, token, "401")
					}
					p.ring.Store(after)
					api.expect("a token of the next key", signed(t, after, nil), "200")
					api.expect("a token of the key before", signed(t, before, nil), "200")
					api.expect("a token of a key that isn't published", signed(t, ringOf(t, generated(t, kind)), nil), "401")
				})
			}
			t.Run("a removed key", func(t *testing.T) { l.forgets(t, dir) })
		})
	}
}

// TestVerifyPagePEM: the keys as Kong's jwt plugin takes them.
func TestVerifyPagePEM(t *testing.T) {
	for _, program := range []string{"node", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	ring := ringOf(t, generated(t, "rsa"), generated(t, "ec"), generated(t, "ed25519"))
	p := startPublisher(t, ring)
	script := replace(t, block(t, verifyPage, "sh"), verifyURL, p.URL+"/m2m/jwks.json")
	out, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rest := out
	for _, key := range ring.Keys() {
		line, after, _ := bytes.Cut(bytes.TrimSpace(rest), []byte("\n"))
		if want := key.ID + " " + key.Algorithm; string(line) != want {
			t.Errorf("%q, not %q", line, want)
		}
		var found *pem.Block
		if found, rest = pem.Decode(after); found == nil || found.Type != "PUBLIC KEY" {
			t.Fatalf("no key after %q", line)
		}
		parsed, err := jws.ParseRing(append(privatePEM(t), pem.EncodeToMemory(found)...))
		if err != nil || parsed.Keys()[1].ID != key.ID {
			t.Errorf("%s: another key: %v", key.ID, err)
		}
	}
}

// privatePEM is a key that can sign: a ring needs one.
func privatePEM(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TestVerifyPageSnippets: what doesn't run is at least complete, and YAML that
// can be read.
func TestVerifyPageSnippets(t *testing.T) {
	blocks := strings.Split(read(t, verifyPage), "\n```")
	seen := map[string]int{}
	for i := 1; i < len(blocks); i += 2 {
		language, text, _ := strings.Cut(blocks[i], "\n")
		seen[language]++
		if language == "yaml" {
			if err := yaml.Unmarshal([]byte(text), &map[string]any{}); err != nil {
				t.Errorf("%v:\n%s", err, text)
			}
		}
		if language == "sh" {
			continue
		}
		for _, need := range []string{"exp", "iss", "aud"} {
			if !strings.Contains(strings.ToLower(text), need) && !strings.Contains(text, "openid-connect") {
				t.Errorf("%s: no word of %q:\n%s", language, need, text)
			}
		}
		plain := strings.ReplaceAll(text, `\`, "")
		if !strings.Contains(plain, verifyAudience) {
			t.Errorf("%s: not for the page's audience:\n%s", language, text)
		}
		if !strings.Contains(plain, verifyURL) && !strings.Contains(text, "/.well-known/openid-configuration") && !strings.Contains(text, "jwt_secrets") {
			t.Errorf("%s: not by the gateway's keys:\n%s", language, text)
		}
		if strings.Contains(text, verifyIssuer+"/") {
			t.Errorf("%s: something is asked of the provider:\n%s", language, text)
		}
	}
	want := []string{"csharp", "go", "java", "js", "nginx", "python", "sh", "yaml"}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) || seen["yaml"] != 3 {
		t.Errorf("the page has snippets in %v", seen)
	}
}

// TestVerifyPageNginx: the maps of the nginx snippet take one whole value each.
// NGINX hands them a list of audiences joined by commas, and compares whatever
// isn't a case-sensitive regular expression without its case.
func TestVerifyPageNginx(t *testing.T) {
	found := regexp.MustCompile(`map \S+ (\S+) \{ default 0; "~(.*)" 1; \}`).FindAllStringSubmatch(block(t, verifyPage, "nginx"), -1)
	want := map[string]string{"$right_algorithm": "RS256", "$right_issuer": verifyIssuer, "$right_audience": verifyAudience}
	if len(found) != len(want) {
		t.Fatalf("%d maps, want %d: %q", len(found), len(want), found)
	}
	for _, m := range found {
		pattern, value := regexp.MustCompile(m[2]), want[m[1]]
		if !pattern.MatchString(value) {
			t.Errorf("%s refuses %q", m[1], value)
		}
		for _, other := range []string{
			"", value + "/", value + ".evil.example", value + "\n", " " + value, "x" + value, strings.ToUpper(value) + "x", strings.ReplaceAll(value, ".", "x") + "x",
			value + ",x", "x," + value, "x," + value + ",y", strings.ToUpper(value[:1]) + strings.ToLower(value[1:]),
		} {
			if pattern.MatchString(other) {
				t.Errorf("%s accepts %q", m[1], other)
			}
		}
	}
}
