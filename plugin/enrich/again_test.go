package enrich

import (
	"context"
	"encoding/json"
	"testing"
	"time"
)

// held runs the exchange with reuse enabled, and returns the answer that may be given
// again.
func (f *fixture) held() (*Enricher, *Held) {
	f.t.Helper()
	f.set("reuse", "enabled", true)
	e := f.enricher()
	r := e.Enrich(context.Background(), f.complete())
	if r.Outcome != Enriched {
		f.t.Fatalf("outcome %s, want %s: %v", r.Outcome, Enriched, r.Cause)
	}
	h, err := r.Held()
	must(f.t, err)
	return e, h
}

// TestAgain: the same token is given again, with less life, and described alike.
func TestAgain(t *testing.T) {
	f := newFixture(t)
	e, h := f.held()
	r, err := e.Again(context.Background(), h, "", testNow.Add(100*time.Second))
	must(t, err)
	if r.Outcome != Reused || r.Action != Replace || r.Status != 200 || !r.Token || r.ClientID != testClient || r.Failed() || r.Logged() {
		t.Errorf("got %+v, want a reused answer that isn't logged", r)
	}
	var first, again map[string]any
	must(t, json.Unmarshal(h.Body, &first))
	must(t, json.Unmarshal(r.Body, &again))
	if first["access_token"] != again["access_token"] || again["expires_in"] != 86299.0 {
		t.Errorf("got %v, want the same token with expires_in 86299", again)
	}
	if got := r.Issued(); got.TokenID != "j" || got.Organization != testOrg || got.KeyID != f.ring.KeyID() || len(got.Claims) != 2 {
		t.Errorf("issued %+v, want j of %s with two claims by the ring's first key", got, testOrg)
	}
	if _, err := r.Held(); err == nil {
		t.Error("a reused answer may be held once more")
	}
}

func TestInOutage(t *testing.T) {
	e, h := newFixture(t).held()
	r, err := e.Again(context.Background(), h, "", testNow)
	must(t, err)
	if out := r.InOutage(context.DeadlineExceeded); out.Outcome != ReusedInOutage || out.Action != Replace || !out.Logged() || out.Failed() || out.Cause == nil {
		t.Errorf("got %+v, want the same answer with another outcome, which is logged", out)
	}
}
