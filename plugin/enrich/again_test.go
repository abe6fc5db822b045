package enrich

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"m2m-token-enricher/schema"
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

// TestAgainUnknown: what can't be looked up isn't a no.
func TestAgainUnknown(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fixture)
		want   bool
	}{
		"redis silent": {func(f *fixture) { f.records["org:"+testOrg] = schema.ErrUnavailable }, true},
		"no keys":      {func(f *fixture) { f.ringErr = errors.New("no such file") }, true},
		"no record":    {func(f *fixture) { delete(f.records, "app:"+testClient) }, false},
		"suspended":    {func(f *fixture) { f.records["org:"+testOrg] = schema.Record{"code": testOrg, "is_suspended": "true"} }, false},
		"another name": {func(f *fixture) { f.records["org:"+testOrg] = schema.Record{"code": testOrg, "name": "Other"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			_, h := f.held()
			test.change(f)
			if _, err := f.enricher().Again(context.Background(), h, "", testNow); err == nil || Unknown(err) != test.want {
				t.Errorf("got unknown %t, want %t: %v", Unknown(err), test.want, err)
			}
		})
	}
}
