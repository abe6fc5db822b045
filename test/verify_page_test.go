package test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// What every snippet of docs/verify.md uses.
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
			command := l.prepare(t, dir)
			for _, kind := range []string{"rsa", "ec", "ed25519"} {
				t.Run(kind, func(t *testing.T) {
					first, next := generated(t, kind), generated(t, kind)
					before, after := ringOf(t, first), ringOf(t, next, first)
					p := startPublisher(t, before)
					api := l.start(t, dir, command, p, l.pause...)
					api.expect("a good token", signed(t, before, nil), "200")
					for what, token := range forged(t, before) {
						api.expect(what, token, "401")
					}
					p.ring.Store(after)
					api.expect("a token of the next key", signed(t, after, nil), "200")
					api.expect("a token of the previous key", signed(t, before, nil), "200")
					api.expect("a token of a key that isn't published", signed(t, ringOf(t, generated(t, kind)), nil), "401")
				})
			}
			t.Run("a removed key", func(t *testing.T) { l.refusesRemovedKey(t, dir, command) })
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
	rest, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range ring.Keys() {
		line, after, _ := bytes.Cut(bytes.TrimSpace(rest), []byte("\n"))
		expect(t, "the line above a key", string(line), key.ID+" "+key.Algorithm)
		var encoded *pem.Block
		if encoded, rest = pem.Decode(after); encoded == nil || encoded.Type != "PUBLIC KEY" {
			t.Fatalf("no public key after %q", line)
		}
		public, err := x509.ParsePKIXPublicKey(encoded.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		thumbprint, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
		if got := encode(string(thumbprint)); err != nil || got != key.ID {
			t.Errorf("thumbprint of the key = %s, want %s: %v", got, key.ID, err)
		}
	}
}

// TestVerifyPageSnippets: every snippet uses the page's audience and keys, and
// asks nothing of the provider. YAML can be parsed.
func TestVerifyPageSnippets(t *testing.T) {
	keys := regexp.MustCompile(regexp.QuoteMeta(verifyURL) + `|/\.well-known/openid-configuration|jwt_secrets`)
	snippets := regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(read(t, verifyPage), -1)
	expect(t, "number of snippets", len(snippets), 10)
	for _, m := range snippets {
		language, text := m[1], strings.ReplaceAll(m[2], `\`, "")
		if !keys.MatchString(text) || strings.Contains(text, verifyIssuer+"/") {
			t.Errorf("this %s snippet doesn't use the gateway's keys alone:\n%s", language, text)
		}
		if language != "sh" {
			contains(t, language, text, verifyAudience)
		}
		if language == "yaml" {
			decodeText(t, verifyPage, text)
		}
	}
}

// TestVerifyPageNginx: each map of the nginx snippet accepts one whole value only.
// NGINX joins a list of audiences with commas. It ignores the case of whatever
// isn't a case-sensitive regular expression.
func TestVerifyPageNginx(t *testing.T) {
	maps := regexp.MustCompile(`map \S+ (\S+) \{ default 0; "~(.*)" 1; \}`).FindAllStringSubmatch(block(t, verifyPage, "nginx"), -1)
	want := map[string]string{"$right_algorithm": "RS256", "$right_issuer": verifyIssuer, "$right_audience": verifyAudience}
	if len(maps) != len(want) {
		t.Fatalf("%d maps, want %d: %q", len(maps), len(want), maps)
	}
	for _, m := range maps {
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
