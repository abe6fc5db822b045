package e2e

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m2m-token-enricher/test/idptest"
)

// spoiled is the provider's key set as Windows, WSO2 and Keycloak might write it: with
// a byte order mark, padding, a bad certificate, an encryption key and a bad key.
func spoiled(t *testing.T, w *world) http.HandlerFunc {
	t.Helper()
	_, set, err := get(w.provider.JWKSURI())
	if err != nil {
		t.Fatal(err)
	}
	set = strings.Replace(strings.TrimSpace(set), `{"keys":[{`, `{"keys":[{"x5c":["AAAA"],"x5t#S256":"?",`, 1)
	set = strings.Replace(set, `"AQAB"`, `"AQAB=="`, 1)
	set = strings.TrimSuffix(set, "]}") + `,{"kty":"RSA","use":"enc","kid":"for-encryption","n":"AQ","e":"AQAB"},{"kty":"RSA","kid":"short","n":"AQ","e":"AQAB"}]}`
	return func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("\ufeff" + set)) }
}

// TestSpoiledProviderKeys: what isn't part of a key doesn't disable it. A key that
// can't be used is named in check, the log and a metric; one for encryption is no
// error.
func TestSpoiledProviderKeys(t *testing.T) {
	w := build(t, nil)
	w.provider.Misbehave(idptest.Fault{JWKS: spoiled(t, w)})
	address := loopback(t)
	w.flags = []string{"-metrics", address}
	w.start()
	for range 3 {
		w.enriched(w.ask(form()))
	}
	const reason = "an RSA key of 1 bits is too weak"
	if log := w.gateway.Log(); strings.Count(log, reason) != 1 || strings.Contains(log, "for-encryption") {
		t.Errorf("the log must have %q once, and no encryption key", reason)
	}
	_, text := w.scrape(address, "/metrics")
	if _, metric, _ := strings.Cut(text, "\nm2m_provider_keys_skipped{"); !strings.Contains(strings.SplitN(metric, "\n", 2)[0], "} 1") {
		t.Errorf("m2m_provider_keys_skipped: got %.80q, want 1", metric)
	}
	path := filepath.Join(t.TempDir(), "kong.yml")
	if err := os.WriteFile(path, bytes.TrimSpace(w.config()), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ := command(t, "check", path)
	for _, want := range []string{
		"ok       services[0].plugins[0]: provider's keys: 1\n",
		`ok       services[0].plugins[0]: provider's keys: not used: key 2, kid "for-encryption": its use is enc: made for encryption` + "\n",
		`warning  services[0].plugins[0]: provider's keys: not used: key 3, kid "short": ` + reason + "\n",
	} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("check: got exit code %d and\n%swant 0 and %s", code, stdout, want)
		}
	}
}
