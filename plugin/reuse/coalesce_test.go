package reuse

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// TestCoalesced: a thousand identical first requests make one call, and get one answer.
func TestCoalesced(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		results := g.all(1000, request())
		for _, r := range results {
			if string(r.Body) != string(results[0].Body) || r.took != 80*time.Millisecond {
				t.Fatalf("got %s after %v, want %s after 80ms", r.Body, r.took, results[0].Body)
			}
		}
		if s := g.Stats(); s.Made != 1 || s.Saved != 999 {
			t.Errorf("got %+v, want 1 made and 999 saved", s)
		}
	})
}

// TestLeaderFails: the failure of the first isn't that of the next, which leads then.
// The others wait on.
func TestLeaderFails(t *testing.T) {
	for name, failure := range map[string]reply{
		"500":     {status: 500, takes: 80 * time.Millisecond},
		"401":     {status: 401, takes: 80 * time.Millisecond},
		"a panic": {takes: 80 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, nil, func(t *testing.T, g *gateway) {
				g.provider = func(*Request) reply {
					if g.calls.Load() <= 3 {
						return failure
					}
					return reply{takes: 80 * time.Millisecond}
				}
				if name == "a panic" {
					panicsThrice(g)
				}
				ends := map[time.Duration]int{}
				for _, r := range g.all(100, request()) {
					ends[r.took]++
				}
				if n := g.calls.Load(); n != 4 {
					t.Errorf("got %d calls, want 4", n)
				}
				for n, want := range []int{1, 1, 1, 97} {
					if at := time.Duration(n+1) * 80 * time.Millisecond; ends[at] != want {
						t.Errorf("got %d answers at %v, want %d", ends[at], at, want)
					}
				}
			})
		})
	}
}

// panicsThrice makes the response phases of the first three requests panic.
func panicsThrice(g *gateway) {
	of, n := g.Answers.held, 0
	g.Answers.held = func(r enrich.Result) (*enrich.Held, error) {
		if n++; n <= 3 {
			panic("a bug")
		}
		return of(r)
	}
}

// TestHeldMeanwhile: a request that missed an answer which is held by the time it joins
// the others looks again.
func TestHeldMeanwhile(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		v, err := g.visit(t.Context(), q, "")
		if err != nil {
			t.Fatal(err)
		}
		missed, _ := v.peek()
		g.expect("another one meanwhile", request(), enrich.Enriched, 1)
		if next := v.join(missed); next != look {
			t.Errorf("got the turn %d, want %d", next, look)
		}
	})
}

// TestLeaderNeverReturns: nobody waits past his time, and not all leave at once. The
// first that comes back serves those that still wait.
func TestLeaderNeverReturns(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.provider = func(*Request) reply { return reply{takes: time.Hour, never: true} }
		results := make(chan got, 1000)
		for range 1000 {
			go func() { // the provider's silence outlasts the test's wait
				q := request()
				q.ID = randomID()
				ctx, cancel := context.WithTimeout(t.Context(), g.timeout)
				defer cancel()
				started := time.Now()
				g.Find(ctx, q, "")
				results <- got{waited: time.Since(started)}
			}()
		}
		var waits []time.Duration
		for range 1000 {
			waits = append(waits, (<-results).waited)
		}
		slices.Sort(waits)
		if waits[0] != 0 || waits[1] < 500*time.Millisecond || waits[999] > 950*time.Millisecond {
			t.Errorf("got waits of %v, %v … %v, want 0, then 500 to 950 ms", waits[0], waits[1], waits[999])
		}
		for tenth := 100; tenth < 1000; tenth += 100 {
			if at := waits[tenth] - waits[tenth-99]; at < 20*time.Millisecond {
				t.Errorf("a tenth of the requests left within %v, want them spread", at)
			}
		}
	})
}

func randomID() string { return string(rune(rand.IntN(1<<20))) + string(rune(rand.IntN(1<<20))) }

// TestClientOfLeaderGone: the leader's client goes away, so its response phase doesn't
// come. One that leaves leads, and serves all others.
func TestClientOfLeaderGone(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		q.ID = "gone"
		g.Find(t.Context(), q, "")
		for _, r := range g.all(100, request()) {
			if r.Outcome == "" || r.took > 1030*time.Millisecond {
				t.Errorf("got %q after %v, want an answer within 1.03 s", r.Outcome, r.took)
			}
		}
		if n := g.calls.Load(); n > 40 {
			t.Errorf("got %d calls, want those that left within 80 ms", n)
		}
		g.expect("later", request(), enrich.Reused, g.calls.Load())
	})
}

// TestLeaverLeads: who left because the leader didn't come back is waited for.
func TestLeaverLeads(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		q.ID = "gone"
		g.Find(t.Context(), q, "")
		g.provider = func(*Request) reply { return reply{takes: 600 * time.Millisecond} }
		left := make(chan got)
		go func() { left <- g.ask(request()) }()
		time.Sleep(1050 * time.Millisecond)
		g.expect("another one", request(), enrich.Reused, 1)
		<-left
	})
}

// TestOldLeader: a leader that left longer than the timeout ago isn't waited for.
func TestOldLeader(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		q.ID = "gone"
		g.Find(t.Context(), q, "")
		time.Sleep(time.Second)
		if r := g.expect("after a second", request(), enrich.Enriched, 1); r.waited > 0 {
			t.Errorf("got a wait of %v, want none", r.waited)
		}
	})
}

// TestCancelled: a request that ends while it waits leaves at once, and a request that
// has little time waits only in that.
func TestCancelled(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		q.ID = "leader"
		g.Find(t.Context(), q, "")
		for name, limit := range map[string]time.Duration{"cancelled": time.Hour, "100 ms": 100 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			if name == "cancelled" {
				time.AfterFunc(100*time.Millisecond, cancel)
			}
			q.ID = name
			started := time.Now()
			if _, ok := g.Find(ctx, q, ""); ok || time.Since(started) > 100*time.Millisecond {
				t.Errorf("%s: got an answer %t after %v, want none within 100 ms", name, ok, time.Since(started))
			}
			cancel()
		}
	})
}

// TestWithoutCoalescing: nobody waits, and all the same answers are given again.
func TestWithoutCoalescing(t *testing.T) {
	in(t, func(cfg *schema.Config) { cfg.Reuse.Coalesce = false }, func(t *testing.T, g *gateway) {
		for _, r := range g.all(100, request()) {
			if r.waited > 0 || r.Outcome != enrich.Enriched {
				t.Errorf("got %s after %v, want %s without a wait", r.Outcome, r.waited, enrich.Enriched)
			}
		}
		g.expect("later", request(), enrich.Reused, 100)
	})
}

// TestUnholdable: requests whose answers can't be held don't wait for each other, after
// the first of them.
func TestUnholdable(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.provider = func(*Request) reply { return reply{takes: 80 * time.Millisecond, unfit: errAnyway} }
		for _, r := range g.all(100, request()) {
			if r.took > 160*time.Millisecond {
				t.Errorf("at first: got an answer after %v, want 160ms at most", r.took)
			}
		}
		for range 3 {
			for _, r := range g.all(100, request()) {
				if r.took != 80*time.Millisecond {
					t.Errorf("then: got an answer after %v, want 80ms", r.took)
				}
			}
		}
		set(g, &g.provider, nil)
		g.expect("an answer that can be held", request(), enrich.Enriched, 401)
		g.expect("its repeat", request(), enrich.Reused, 401)
	})
}

// TestUnholdableOnce: an answer that can't be held, such as one with a Set-Cookie, leaves
// what is held. Requests don't wait for each other then.
func TestUnholdableOnce(t *testing.T) {
	withOld(t, ifProviderFails, func(t *testing.T, g *gateway) {
		g.provider = func(*Request) reply { return reply{takes: 80 * time.Millisecond, unfit: errAnyway} }
		g.expect("an answer that can't be held", request(), enrich.Enriched, 2)
		for _, r := range g.all(10, request()) {
			if r.took != 80*time.Millisecond {
				t.Errorf("got an answer after %v, want 80ms", r.took)
			}
		}
		set(g, &g.provider, func(*Request) reply { return reply{status: 503} })
		g.expect("the provider fails", request(), enrich.ReusedInOutage, 13)
	})
}

// TestAlwaysAnotherAnswer: requests of which no answer may ever be given again, because
// a workflow adds the time, don't wait for each other.
func TestAlwaysAnotherAnswer(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.again = func(*enrich.Held) error { return errors.New("the claims would differ now") }
		g.all(10, request())
		time.Sleep(time.Second)
		for _, r := range g.all(10, request()) {
			if r.took != 80*time.Millisecond {
				t.Errorf("got an answer after %v, want 80ms", r.took)
			}
		}
	})
}

// TestPanics: a panic while an answer is decided leaves nobody hanging, and no lock held.
func TestPanics(t *testing.T) {
	for name, held := range map[string]bool{"of a repeat": true, "of those that wait": false} {
		t.Run(name, func(t *testing.T) {
			in(t, nil, func(t *testing.T, g *gateway) {
				if held {
					g.expect("the first", request(), enrich.Enriched, 1)
				}
				set(g, &g.again, func(*enrich.Held) error { panic("a bug") })
				panicked := 0
				for _, r := range g.all(10, request()) {
					if r.panicked {
						panicked++
					}
					if r.took > 80*time.Millisecond {
						t.Errorf("got the end after %v, want 80ms at most", r.took)
					}
				}
				if panicked < 9 {
					t.Errorf("got %d panics, want at least 9", panicked)
				}
				set(g, &g.again, nil)
				g.expect("after the panics", request(), enrich.Reused, 1)
			})
		})
	}
}

// TestTooManyWait: beyond a limit, requests don't wait.
func TestTooManyWait(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.flights.waiting = maxWaiting - 10 // as if others did
		waited := 0
		for _, r := range g.all(100, request()) {
			if r.waited > 0 {
				waited++
			}
		}
		if waited != 10 {
			t.Errorf("got %d requests that waited, want 10", waited)
		}
		g.flights.waiting -= maxWaiting - 10
	})
}
