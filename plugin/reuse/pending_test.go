package reuse

import (
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

// TestResponseWithoutAccess: another process had the access phase.
func TestResponseWithoutAccess(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		if _, ok := g.Instead(t.Context(), q.ID, 503, "", ""); ok {
			t.Error("got an answer in the response phase")
		}
		g.Answered(q.ID, q.Authorization, q.Body, enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, ClientID: "app"}, nil)
		if s := g.Stats(); s.Made != 1 || s.Entries != 0 {
			t.Errorf("got %+v, want 1 made and no entries", s)
		}
	})
}

// TestAccessTwice: a handler that runs twice for a request doesn't wait for itself, and
// its answer is held once.
func TestAccessTwice(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		for range 2 {
			started := time.Now()
			if _, ok := g.Find(t.Context(), q, ""); ok || time.Since(started) > 0 {
				t.Errorf("got an answer %t after %v, want none at once", ok, time.Since(started))
			}
		}
		g.respond(q)
		g.Answered(q.ID, q.Authorization, q.Body, enrich.Result{Outcome: enrich.Enriched, ClientID: "app"}, nil)
		g.expect("the next", request(), enrich.Reused, 1)
	})
}

// TestLeaderTwice: a handler that runs twice for the request that leads makes nobody else
// lead.
func TestLeaderTwice(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		g.Find(t.Context(), q, "")
		second := make(chan got)
		go func() { second <- g.ask(request()) }()
		synctest.Wait()
		g.Find(t.Context(), q, "")
		g.respond(q)
		if r := <-second; r.Outcome != enrich.Reused {
			t.Errorf("who waits: got %s, want %s", r.Outcome, enrich.Reused)
		}
	})
}

// TestSameIDTwice: an id that comes again with another request leaves no flight behind.
func TestSameIDTwice(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q, other := request(), request()
		other.Host = "other"
		g.Find(t.Context(), q, "")
		g.Find(t.Context(), other, "")
		if n := len(g.flights.of); n != 1 {
			t.Errorf("got %d flights, want 1", n)
		}
	})
}

// TestPendingIsBounded: requests whose response phase doesn't come are forgotten, by
// time and by their number.
func TestPendingIsBounded(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		find := func(n int) {
			q := request()
			q.ID, q.Host = string(rune(n)), string(rune(n))
			g.Find(t.Context(), q, "")
		}
		for n := range maxPending + 1000 {
			find(0x10000 + n)
		}
		if n := g.Stats().Pending; n != maxPending {
			t.Errorf("got %d at the provider, want %d", n, maxPending)
		}
		if n := len(g.flights.of); n != maxPending {
			t.Errorf("got %d flights, want %d", n, maxPending)
		}
		time.Sleep(pendingLife)
		find(1)
		if n := g.pending.byID.Len(); n != 1 {
			t.Errorf("later: got %d at the provider, want 1", n)
		}
		if n := len(g.flights.of); n != 1 {
			t.Errorf("later: got %d flights, want 1", n)
		}
	})
}
