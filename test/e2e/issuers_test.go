package e2e

import (
	"testing"

	"m2m-token-enricher/test/idptest"
)

// TestIssuersAllowed: a provider with two issuers and one set of keys. Tokens of an
// issuer that isn't listed are refused.
func TestIssuersAllowed(t *testing.T) {
	const second = "https://sts.example.com/tenant/"
	w := newWorld(t, func(c map[string]any) { c["issuers_allowed"] = []any{second} })
	by := func(iss string) answer {
		w.provider.Misbehave(idptest.Fault{Claims: func(c map[string]any) { c["iss"] = iss }})
		return w.ask(form())
	}
	a := by(second)
	if a.StatusCode != 200 {
		t.Fatalf("got status %d: %s, want 200", a.StatusCode, a.body)
	}
	w.refused(by("https://sts.example.com/another/"), 502, "server_error", "untrusted_token")
	w.provider.Misbehave(idptest.Fault{})
	w.enriched(w.ask(form()))
}
