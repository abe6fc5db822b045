package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/stage"
)

// TestProvidersKeysDown: without the provider's keys nothing is enriched, and
// it goes on by itself when they are back.
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
	w.enriched(w.ask(form())) // the held set serves
}

func TestProviderRotates(t *testing.T) {
	w := newWorld(t, nil)
	w.enriched(w.ask(form()))
	if err := w.provider.Rotate("RS256"); err != nil {
		t.Fatal(err)
	}
	w.enriched(w.ask(form()))
}

func TestDiscovery(t *testing.T) {
	w := build(t, nil)
	issuer, err := idptest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer issuer.Close()
	issuer.Add(client, secret)
	w.provider = issuer
	w.edit = func(c map[string]any) {
		delete(c, "jwks_uri")
		c["issuer"], c["prefix"], c["management_audiences"] = issuer.Issuer(), prefix, []any{}
	}
	w.start()
	a := w.ask(form())
	if _, err := stage.Verify(context.Background(), w.jwksURL(), issuer.Issuer(), a.token()); err != nil {
		t.Errorf("%v: %s", err, a.body)
	}
}

// TestKeyFile: missing at the start, then there; broken later, then the old
// keys stay and the log says so.
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
		t.Errorf("the set without a key: status %d", a.StatusCode)
	}
	w.generateKey("ec")
	w.eventually(func() error {
		if a := w.ask(form()); a.StatusCode != 200 {
			return fmt.Errorf("the key is there, but status %d: %s", a.StatusCode, a.body)
		}
		return nil
	})
	if err := os.WriteFile(w.keyFile, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() error {
		w.enriched(w.ask(form()))
		if !strings.Contains(w.gateway.Log(), "the previous signing keys stay in use") {
			return fmt.Errorf("the log doesn't tell of the broken key file")
		}
		return nil
	})
}

// TestMistakesReachTheLog: Kong's own schema accepts this configuration; what
// the plugin finds must not be lost.
func TestMistakesReachTheLog(t *testing.T) {
	w := newWorld(t, func(c map[string]any) {
		c["claims"] = []any{map[string]any{"name": "sub", "value": "x"}, map[string]any{"name": "n", "value": "x", "type": "number"}}
	})
	w.refused(w.ask(form()), 500, "server_error", "internal_error")
	for _, want := range []string{`config.claims[0].name`, `config.claims[1].value`} {
		if !strings.Contains(w.gateway.Log(), want) {
			t.Errorf("the log doesn't tell of %s", want)
		}
	}
}

// TestKongRefuses: what Kong's schema can say, Kong says.
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

// TestReload: a new configuration serves without a failed request.
func TestReload(t *testing.T) {
	w := newWorld(t, nil)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := http.DefaultClient.Do(w.tokenRequest(form()))
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("status %d during a reload", resp.StatusCode)
					return
				}
			}
		})
	}
	for i := range 5 {
		w.edit = func(c map[string]any) {
			c["claims"] = append(c["claims"].([]any), map[string]any{"name": "generation", "value": fmt.Sprint(i)})
		}
		if err := w.gateway.Reload(w.config()); err != nil {
			t.Error(err)
		}
		w.eventually(func() error {
			if got := w.enriched(w.ask(form()))["generation"]; got != fmt.Sprint(i) {
				return fmt.Errorf("generation %v, not %d", got, i)
			}
			return nil
		})
	}
	close(stop)
	clients.Wait()
}

// TestConcurrentClients: every client gets its own token.
func TestConcurrentClients(t *testing.T) {
	w := newWorld(t, nil)
	var clients sync.WaitGroup
	for i := range 8 {
		id, code := fmt.Sprintf("client-%d", i), fmt.Sprintf("org_%d", i)
		w.provider.Add(id, secret)
		w.record("app:"+id, "org_code", code)
		w.record("org:"+code, "code", code, "name", code)
		clients.Go(func() {
			for range 20 {
				a := w.ask(form("client_id", id))
				claims, err := stage.Verify(context.Background(), w.jwksURL(), stage.Issuer, a.token())
				if err != nil || claims["azp"] != id || claims["org_code"] != code {
					t.Errorf("%s got %v: %v: %s", id, claims, err, a.body)
					return
				}
			}
		})
	}
	clients.Wait()
}
