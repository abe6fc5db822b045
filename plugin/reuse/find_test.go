package reuse

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// TestRepeats: only a repeat byte for byte is answered without the provider.
func TestRepeats(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		first := g.expect("the first", request(), enrich.Enriched, 1)
		if again := g.expect("the second", request(), enrich.Reused, 1); string(again.Body) != string(first.Body) || again.took > 0 {
			t.Errorf("the second: got %s after %v, want %s at once", again.Body, again.took, first.Body)
		}
		q := request()
		q.Authorization = "Basic YXBwOmd1ZXNz"
		g.expect("another secret", q, enrich.Enriched, 2)
		if s := g.Stats(); s.Saved != 1 || s.Made != 2 || s.Entries != 2 {
			t.Errorf("got %+v, want 1 saved, 2 made, 2 entries", s)
		}
	})
}

// TestAgainSaysNo: what may not be given again is dropped. What can't be decided now
// stays.
func TestAgainSaysNo(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.expect("the first", request(), enrich.Enriched, 1)
		g.expect("the second", request(), enrich.Reused, 1)
		set(g, &g.again, func(*enrich.Held) error { return errors.New("another key signs now") })
		g.expect("with a no", request(), enrich.Enriched, 2)
		set(g, &g.again, nil)
		g.expect("the new one", request(), enrich.Reused, 2)
	})
}

// TestAgainTakesTheTime: an answer isn't given if its life ends while it is decided.
func TestAgainTakesTheTime(t *testing.T) {
	in(t, func(cfg *schema.Config) { cfg.Reuse.MaxAge, cfg.Reuse.ShareOfLife = 86400, 1 }, func(t *testing.T, g *gateway) {
		g.life = 100 * time.Second
		g.expect("the first", request(), enrich.Enriched, 1)
		time.Sleep(39_900 * time.Millisecond)
		set(g, &g.again, func(*enrich.Held) error {
			time.Sleep(200 * time.Millisecond)
			return nil
		})
		g.expect("with too short a life at the end", request(), enrich.Enriched, 2)
	})
}

// TestNotHeld: an answer isn't held if the caller or the decision says so, or if the
// response phase sees other credentials or another body.
func TestNotHeld(t *testing.T) {
	enriched := enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, ClientID: "app", Body: []byte("{}")}
	for name, answered := range map[string]func(*gateway, Request){
		"a Set-Cookie": func(g *gateway, q Request) { g.Answered(q.ID, q.Authorization, q.Body, enriched, errAnyway) },
		"a management token": func(g *gateway, q Request) {
			g.Answered(q.ID, q.Authorization, q.Body, enrich.Result{Outcome: enrich.ManagementAudience}, nil)
		},
		"a refusal": func(g *gateway, q Request) {
			g.Answered(q.ID, q.Authorization, q.Body, enrich.Refusal(enrich.UnknownUser, 0, nil), nil)
		},
		"the provider's error": func(g *gateway, q Request) {
			g.Answered(q.ID, q.Authorization, q.Body, enrich.Result{Outcome: enrich.UpstreamError}, nil)
		},
		"another authorization": func(g *gateway, q Request) { g.Answered(q.ID, "Basic other", q.Body, enriched, nil) },
		"no authorization":      func(g *gateway, q Request) { g.Answered(q.ID, "", q.Body, enriched, nil) },
		"another body":          func(g *gateway, q Request) { g.Answered(q.ID, q.Authorization, append(q.Body, 'x'), enriched, nil) },
		"another request":       func(g *gateway, q Request) { g.Answered("other", q.Authorization, q.Body, enriched, nil) },
		"no response phase":     func(*gateway, Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, nil, func(t *testing.T, g *gateway) {
				for n := range 2 {
					q := request()
					q.ID = string(rune('a' + n))
					if r, ok := g.Find(t.Context(), q, ""); ok {
						t.Fatalf("request %d: got %s", n, r.Outcome)
					}
					answered(g, q)
					time.Sleep(time.Second)
				}
			})
		})
	}
}

// TestLateAnswer: the answer to an older question doesn't replace the one to a newer, here
// and in the fleet.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRedis()
		g := open(t, func(cfg *schema.Config) { cfg.Reuse.Coalesce = false }, r)
		g.provider = func(*Request) reply {
			if g.calls.Load() == 1 {
				return reply{takes: time.Second}
			}
			return reply{}
		}
		late := make(chan got)
		go func() { late <- g.ask(request()) }()
		time.Sleep(100 * time.Millisecond)
		newer := g.ask(request())
		<-late
		for name, at := range map[string]*gateway{"here": g, "in the fleet": open(t, nil, r)} {
			if again := at.ask(request()); string(again.Body) != string(newer.Body) {
				t.Errorf("%s: got %s, want %s", name, again.Body, newer.Body)
			}
		}
	})
}

// TestIneligible: requests that aren't eligible neither wait nor are held.
func TestIneligible(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		q.Bypass = true
		for _, r := range g.all(10, q) {
			if r.Outcome != enrich.Enriched || r.waited > 0 {
				t.Errorf("got %s after %v, want %s without a wait", r.Outcome, r.waited, enrich.Enriched)
			}
		}
		if s := g.Stats(); s.Made != 10 || s.Entries != 0 {
			t.Errorf("got %+v, want 10 made and no entries", s)
		}
	})
}

// TestCallbacksAreFree: no lock is held while something outside is asked, so it may use
// the answers itself.
func TestCallbacksAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *gateway
		g = open(t, ifProviderFails, unreadable{func(context.Context) error { g.Stats(); return errAnyway }})
		g.again = func(*enrich.Held) error { g.Stats(); return nil }
		g.alive = func(context.Context) error { g.Stats(); g.answered(); return nil }
		marks, now, random, of := g.o.Marks, g.o.Now, g.o.Random, g.Answers.held
		g.o.Marks = func(ctx context.Context) (map[string]string, error) { g.Stats(); return marks(ctx) }
		g.o.Now = func() time.Time { g.mustBeFree(); return now() }
		g.o.Random = func() float64 { g.Stats(); return random() }
		g.Answers.held = func(r enrich.Result) (*enrich.Held, error) { g.Stats(); return of(r) }
		g.expect("the first", request(), enrich.Enriched, 1)
		g.expect("a repeat", request(), enrich.Reused, 1)
		time.Sleep(10 * time.Minute)
		g.expect("when it is old", request(), enrich.Enriched, 2)
		g.expectNothingLeft()
	})
}

// TestClosed: requests that wait go to the provider at once, and nothing is held.
func TestClosed(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		go func() {
			time.Sleep(10 * time.Millisecond)
			g.Close()
		}()
		for _, r := range g.all(10, request()) {
			if r.Outcome != enrich.Enriched || r.waited > 10*time.Millisecond {
				t.Errorf("got %s after %v, want %s when it was closed", r.Outcome, r.waited, enrich.Enriched)
			}
		}
		g.expect("after it was closed", request(), enrich.Enriched, 11)
		if n := g.Stats().Entries; n != 0 {
			t.Errorf("got %d entries, want none", n)
		}
	})
}

// TestLittleTime: a request whose time ends soon leaves the wait before that.
func TestLittleTime(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		q := request()
		q.ID = "gone"
		g.Find(t.Context(), q, "")
		q.ID = "hurried"
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		started := time.Now()
		if _, ok := g.Find(ctx, q, ""); ok || time.Since(started) > 95*time.Millisecond {
			t.Errorf("got an answer %t after %v, want none within 95ms", ok, time.Since(started))
		}
	})
}

// TestAnotherAnswerEachLook: a request doesn't look for ever at answers that may not be
// given, however fast they follow each other.
func TestAnotherAnswerEachLook(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.expect("the first", request(), enrich.Enriched, 1)
		looks := 0
		g.again = func(h *enrich.Held) error {
			if looks++; looks > 2*maxRounds {
				panic("the request looks for ever")
			}
			q, now := request(), time.Now()
			g.Answers.mu.Lock()
			defer g.Answers.mu.Unlock()
			g.store.put(newEntry(g.keys.request(&g.o.Identity, &q), h, stamp{}, now, now.Add(time.Minute)), now)
			return errAnyway
		}
		if r := g.ask(request()); r.Outcome != enrich.Enriched || r.panicked {
			t.Errorf("got %q, want %s", r.Outcome, enrich.Enriched)
		}
	})
}
