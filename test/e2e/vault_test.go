package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"m2m-token-enricher/test/kongtest"
)

// TestVaultReference: the keys come from a vault, and new ones serve after the
// next reload.
func TestVaultReference(t *testing.T) {
	const variable = "M2M_E2E_KEYS" // Kong writes it {vault://env/m2m-e2e-keys}
	w := build(t, func(c map[string]any) {
		c["signing"] = map[string]any{"jwks": "{vault://env/m2m-e2e-keys}"}
	})
	load := func() (kid string) {
		text, err := os.ReadFile(w.keyFile)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(variable, string(text))
		_, rest, _ := strings.Cut(string(text), `"kid": "`)
		kid, _, _ = strings.Cut(rest, `"`)
		return kid
	}
	load()
	w.start()
	w.enriched(w.ask(form()))

	if _, ok := w.gateway.(*kongtest.StandIn); !ok {
		t.Skip("the environment of a running Kong can't be changed; only the stand-in sees the new keys")
	}
	w.generateKey("ec")
	kid := load()
	if err := w.gateway.Reload(w.config()); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() error {
		w.enriched(w.ask(form()))
		if got := w.ask(form()).header()["kid"]; got != kid {
			return fmt.Errorf("signed with %v, not %s", got, kid)
		}
		return nil
	})
}
