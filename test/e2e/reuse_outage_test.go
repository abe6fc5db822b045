package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/test/idptest"
)

// fails is an answer of the provider with a status and headers, pairs of name and
// value.
func fails(status int, headers ...string) idptest.Fault {
	return idptest.Fault{Answer: func(rw http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			rw.Header().Set(headers[i], headers[i+1])
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(status)
		fmt.Fprint(rw, `{"error":"stub_fault"}`)
	}}
}

// outlive waits until the gateway asks the provider for f again, because the answer
// is too old, and returns what it answers then.
func (w *world) outlive(scope string) (a answer) {
	w.Helper()
	before := w.calls()
	w.eventually(func() error {
		if a = w.ask(form("scope", scope)); w.calls() == before {
			return fmt.Errorf("%w: the answer isn't too old", errNotYet)
		}
		return nil
	})
	return a
}

// TestReuseIfProviderFails: while the provider answers with a failure, a client that
// was served before gets its answer, however old. A refusal reaches the client.
func TestReuseIfProviderFails(t *testing.T) {
	t.Parallel() // it mostly waits
	w := newReusing(t, "max_age", 1, "if_provider_fails", true)
	first := w.ask(form("scope", "a"))
	w.enriched(first)
	for _, status := range []int{500, 503, 429} {
		w.provider.Misbehave(fails(status))
		if a := w.outlive("a"); a.token() != first.token() {
			t.Errorf("%d: got status %d, want the previous token", status, a.StatusCode)
		}
		if a := w.ask(form("scope", fmt.Sprint("new-", status))); a.StatusCode != status {
			t.Errorf("%d, nothing to reuse: got status %d", status, a.StatusCode)
		}
	}
	if log := w.gateway.Log(); !strings.Contains(log, "outcome=reused_in_outage") {
		t.Error("the log doesn't report reused_in_outage")
	}

	w.provider.Misbehave(idptest.Fault{})
	second := w.outlive("a")
	if w.enriched(second)["jti"] == first.claims()["jti"] {
		t.Error("the provider works, but the token is the previous one")
	}

	for _, status := range []int{401, 400, 403} {
		scope := fmt.Sprint("refused-", status)
		w.provider.Misbehave(idptest.Fault{})
		w.enriched(w.ask(form("scope", scope)))
		w.provider.Misbehave(fails(status))
		if a := w.outlive(scope); a.StatusCode != status {
			t.Errorf("%d: got status %d, want the provider's", status, a.StatusCode)
		}
		w.provider.Misbehave(fails(500))
		if a := w.ask(form("scope", scope)); a.StatusCode != 500 {
			t.Errorf("500 after %d: got status %d, want the provider's", status, a.StatusCode)
		}
	}

	w.provider.Misbehave(fails(429, "Retry-After", "3600")) // longer than the test
	w.outlive("a")
	w.expectCalls(0, "before the time of Retry-After", func() {
		for range 3 {
			if a := w.ask(form("scope", "a")); a.token() != second.token() {
				t.Errorf("Retry-After: got status %d, want the previous token", a.StatusCode)
			}
		}
	})
	w.expectCalls(1, "nothing to reuse", func() { w.ask(form("scope", "another")) })
}

// TestReuseWithoutIfProviderFails: by default the provider's failure reaches the
// client once the answer is too old.
func TestReuseWithoutIfProviderFails(t *testing.T) {
	t.Parallel() // it mostly waits
	w := newReusing(t, "max_age", 1)
	w.enriched(w.ask(form("scope", "a")))
	w.provider.Misbehave(fails(500))
	if a := w.outlive("a"); a.StatusCode != 500 {
		t.Errorf("got status %d, want the provider's 500", a.StatusCode)
	}
}

// TestReuseProviderStopped: a client that was served before gets its answer while
// nobody listens at the provider's address. Suspensions count all the same.
func TestReuseProviderStopped(t *testing.T) {
	t.Parallel() // it mostly waits
	// Kong asks nobody after a refused connection, so nobody waits for the first.
	w := newReusing(t, "max_age", 1, "if_provider_fails", true, "coalesce", false)
	first := w.ask(form())
	w.enriched(first)
	w.provider.Close()
	since := time.Now()
	w.eventually(func() error { // at first the last sign of life counts, and Kong refuses
		if a := w.ask(form()); time.Since(since) < 2*time.Second {
			return fmt.Errorf("%w: status %d", errNotYet, a.StatusCode)
		}
		return nil
	})
	for range 20 {
		if a := w.ask(form()); a.token() != first.token() {
			t.Errorf("got status %d, want the previous token", a.StatusCode)
		}
	}
	if a := w.ask(form("scope", "new")); a.StatusCode != 502 {
		t.Errorf("nothing to reuse: got status %d, want Kong's 502", a.StatusCode)
	}
	w.record("org:"+org, "is_suspended", "true")
	if a := w.ask(form()); a.token() != "" {
		t.Error("a suspended organization gets a token")
	}
}

// TestReuseTokenEndpointHangs: a client that was served before gets its answer while the
// provider's token endpoint hangs and its keys still answer.
func TestReuseTokenEndpointHangs(t *testing.T) {
	t.Parallel() // it mostly waits
	w := build(t, nil)
	w.provider.Close()
	var err error
	if w.provider, err = idptest.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.provider.Close)
	w.provider.Add(client, secret)
	w.edit = func(c map[string]any) {
		reusing("max_age", 1, "if_provider_fails", true)(c)
		delete(c, "jwks_uri")
		c["issuer"], c["prefix"], c["management_audiences"] = w.provider.Issuer(), prefix, []any{}
	}
	w.start()
	w.ask(form("scope", "a"))
	w.eventually(func() error { // the plugin finds the token endpoint
		if w.calls() < 2 {
			return fmt.Errorf("%w: no probe at the token endpoint", errNotYet)
		}
		return nil
	})
	first := w.outlive("a")
	if first.claims()["org_code"] != org {
		t.Fatalf("got status %d, want an enriched token", first.StatusCode)
	}
	w.provider.Misbehave(idptest.Fault{Answer: idptest.Hang})
	since := time.Now()
	w.eventually(func() error { // at first the last sign of life counts, and Kong waits
		if time.Since(since) < 1500*time.Millisecond {
			return errNotYet
		}
		return nil
	})
	for range 20 {
		if a := w.ask(form("scope", "a")); a.token() != first.token() {
			t.Fatalf("got status %d, want the previous token", a.StatusCode)
		}
	}
	if !strings.Contains(w.gateway.Log(), "outcome=reused_in_outage") {
		t.Error("the log doesn't report reused_in_outage")
	}
	w.provider.Misbehave(idptest.Fault{})
	w.eventually(func() error {
		if a := w.ask(form("scope", "a")); a.token() == "" || a.token() == first.token() {
			return fmt.Errorf("%w: status %d and the previous token", errNotYet, a.StatusCode)
		}
		return nil
	})
}
