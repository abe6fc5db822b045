package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"m2m-token-enricher/test/idptest"
)

// TestProvidersKeysDown: without the provider's keys nothing is enriched. The
// gateway recovers by itself once they are back.
func TestProvidersKeysDown(t *testing.T) {
	w := build(t, nil)
	down := func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }
	w.provider.Misbehave(idptest.Fault{JWKS: down})
	w.start()
	w.refused(w.ask(form()), 503, "temporarily_unavailable", "keys_unavailable")
	w.provider.Misbehave(idptest.Fault{})
	w.eventually(func() error {
		if a := w.ask(form()); a.StatusCode != 200 {
			return fmt.Errorf("the keys are back, but status %d: %s", a.StatusCode, a.body)
		}
		return nil
	})
	w.provider.Misbehave(idptest.Fault{JWKS: down})
	w.enriched(w.ask(form())) // the cached set serves
}

// TestKeyFile: a key file that is missing at the start is read once it exists.
func TestKeyFile(t *testing.T) {
	t.Parallel() // it mostly waits
	w := build(t, nil)
	if err := os.Remove(w.keyFile); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.refused(w.ask(form()), 500, "server_error", "internal_error")
	req, _ := http.NewRequest(http.MethodGet, w.jwksURL(), nil)
	if a := w.send(http.DefaultClient, req); a.StatusCode != 503 {
		t.Errorf("the set without a key: got status %d, want 503", a.StatusCode)
	}
	w.generateKey("ec")
	w.eventually(func() error {
		if a := w.ask(form()); a.StatusCode != 200 {
			return fmt.Errorf("the key exists, but status %d: %s", a.StatusCode, a.body)
		}
		return nil
	})
}

// TestKongRefuses: Kong itself refuses what its schema can express.
func TestKongRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.edit = func(c map[string]any) { c["mode"] = "audit"; delete(c, "claims") }
	err := w.gateway.Reload(w.config())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"mode", "claims"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	w.enriched(w.ask(form()))
}

// TestConfigurationErrorsReachTheLog: Kong's own schema accepts this
// configuration, and delivers the reference that it can't resolve as an empty
// text.
func TestConfigurationErrorsReachTheLog(t *testing.T) {
	w := newWorld(t, func(c map[string]any) {
		c["claims"] = []any{map[string]any{"name": "sub", "value": "x"}, map[string]any{"name": "n", "value": "x", "type": "number"}}
		c["signing"] = map[string]any{"jwks": "{vault://env/m2m-e2e-unset}"}
	})
	w.refused(w.ask(form()), 500, "server_error", "internal_error")
	for _, want := range []string{"config.claims[0].name", "config.claims[1].value", "config.signing.jwks: empty"} {
		if !strings.Contains(w.gateway.Log(), want) {
			t.Errorf("the log doesn't report %s", want)
		}
	}
}

// TestReload: no request fails while the configuration changes.
func TestReload(t *testing.T) {
	w := newWorld(t, nil)
	load := w.startTraffic(4)
	for i := range 5 {
		w.reload(claim("generation", "value", fmt.Sprint(i)))
		w.eventually(func() error {
			if got := w.enriched(w.ask(form()))["generation"]; got != fmt.Sprint(i) {
				return fmt.Errorf("got generation %v, want %d", got, i)
			}
			return nil
		})
	}
	load.endWithoutFailure()
}

// TestConcurrentClients: every client gets its own token.
func TestConcurrentClients(t *testing.T) {
	load := newWorld(t, nil).startTraffic(8)
	load.serves(160)
	load.endWithoutFailure()
}
