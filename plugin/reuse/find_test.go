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

// TestAges: an answer is given until max_age, its share of the token's life, or
// min_remaining, whichever comes first.
func TestAges(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*schema.Reuse)
		life   time.Duration
		until  time.Duration
	}{
		"max_age":         {func(r *schema.Reuse) {}, time.Hour, 300 * time.Second},
		"share_of_life":   {func(r *schema.Reuse) { r.MinRemaining = 0 }, 100 * time.Second, 75 * time.Second},
		"min_remaining":   {func(r *schema.Reuse) {}, 200 * time.Second, 140 * time.Second},
		"the whole life":  {func(r *schema.Reuse) { r.ShareOfLife, r.MinRemaining = 1, 0 }, 10 * time.Second, 10 * time.Second},
		"a day":           {func(r *schema.Reuse) { r.MaxAge, r.ShareOfLife = 86400, 1 }, 48 * time.Hour, 24 * time.Hour},
		"a short life":    {func(r *schema.Reuse) {}, 61 * time.Second, time.Second},
		"life for no one": {func(r *schema.Reuse) {}, 60 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(cfg *schema.Config) { test.change(&cfg.Reuse) }, func(t *testing.T, g *gateway) {
				g.life = test.life
				g.provider = func(*Request) reply { return reply{} }
				g.expect("the first", request(), enrich.Enriched, 1)
				if test.until > 0 {
					time.Sleep(test.until - time.Millisecond)
					g.expect("a millisecond before the end", request(), enrich.Reused, 1)
					time.Sleep(time.Millisecond)
				}
				g.expect("at the end", request(), enrich.Enriched, 2)
			})
		})
	}
}

// TestFromTheFuture: an answer that was asked for later than now, by more than the leeway,
// isn't given.
func TestFromTheFuture(t *testing.T) {
	limits := newTimes(&schema.Config{Leeway: 60, Reuse: schema.Reuse{MaxAge: 300, ShareOfLife: 1, IfProviderFails: true}})
	now := time.Now()
	for ahead, want := range map[time.Duration]bool{60 * time.Second: true, 60*time.Second + 1: false} {
		e := &entry{held: &enrich.Held{Expires: now.Add(time.Hour)}, asked: now.Add(ahead)}
		if fresh, lives := limits.fresh(e, now), limits.lives(e, now); fresh != want || lives != want {
			t.Errorf("%v ahead: got fresh %t, lives %t, want %t", ahead, fresh, lives, want)
		}
	}
}

// TestAgeCountsFromTheQuestion: the provider checked the credentials at some time before
// its answer came, so the time that it took makes the answer older.
func TestAgeCountsFromTheQuestion(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.provider = func(*Request) reply { return reply{takes: 50 * time.Second} }
		g.expect("the first", request(), enrich.Enriched, 1)
		time.Sleep(250*time.Second - time.Millisecond)
		g.expect("before max_age", request(), enrich.Reused, 1)
		time.Sleep(time.Millisecond)
		g.expect("at max_age", request(), enrich.Enriched, 2)
	})
}

// TestClockSetBack: an answer that seems to come from the future isn't given. The provider
// is asked.
func TestClockSetBack(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.expect("the first", request(), enrich.Enriched, 1)
		g.o.Now = func() time.Time { return time.Now().Round(0).Add(-time.Hour) }
		g.expect("an hour back", request(), enrich.Enriched, 2)
	})
}

// TestPurge: an answer is given only while the marks of all and of its client are what
// they were when its request arrived.
func TestPurge(t *testing.T) {
	for name, test := range map[string]struct {
		mark string
		want enrich.Outcome
	}{
		"all":            {"all", enrich.Enriched},
		"the client":     {"client:app", enrich.Enriched},
		"another client": {"client:other", enrich.Reused},
		"a neighbour":    {"client:ap", enrich.Reused},
		"its bare name":  {"app", enrich.Reused},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, nil, func(t *testing.T, g *gateway) {
				g.expect("the first", request(), enrich.Enriched, 1)
				g.mark(test.mark, "1")
				calls := int64(1)
				if test.want == enrich.Enriched {
					calls++
				}
				g.expect("after the purge", request(), test.want, calls)
				g.expect("the next", request(), enrich.Reused, calls)
			})
		})
	}
}

// TestPurgeIsFinal: what was purged stays so, even if Redis loses the mark.
func TestPurgeIsFinal(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.expect("the first", request(), enrich.Enriched, 1)
		g.mark("all", "1")
		other := request()
		other.Host = "other"
		g.expect("another request sees the mark", other, enrich.Enriched, 2)
		if n := g.Stats().Entries; n != 1 {
			t.Errorf("got %d entries after the purge, want 1", n)
		}
		g.mark("all", "")
		g.expect("after the mark was lost", request(), enrich.Enriched, 3)
	})
}

// TestPurgeInFlight: an answer whose request arrived before the purge isn't given after
// it, to those that wait, either.
func TestPurgeInFlight(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		go func() {
			time.Sleep(40 * time.Millisecond)
			g.mark("client:app", "1")
		}()
		first := make(chan got)
		go func() { first <- g.ask(request()) }()
		time.Sleep(time.Millisecond)
		second := g.ask(request())
		if a, b := string((<-first).Body), string(second.Body); a == b {
			t.Errorf("got the same answer %s twice, want another one after the purge", a)
		}
		g.expect("a third", request(), enrich.Reused, 2)
	})
}

// TestWithoutMarks: while the purge marks aren't known, nothing is given again and
// nothing is held.
func TestWithoutMarks(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.expect("the first", request(), enrich.Enriched, 1)
		set(g, &g.marksErr, errors.New("redis is away"))
		g.expect("without marks", request(), enrich.Enriched, 2)
		other := request()
		other.Host = "other"
		g.expect("another without marks", other, enrich.Enriched, 3)
		set(g, &g.marksErr, nil)
		g.expect("with marks", request(), enrich.Reused, 3)
		g.expect("the other with marks", other, enrich.Enriched, 4)
	})
}

// TestMarksLostMeanwhile: a request that waited and then can't learn the purge marks has
// those that it knew before, so its answer is held.
func TestMarksLostMeanwhile(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.mark("client:app", "1")
		g.provider = func(*Request) reply {
			if g.calls.Load() == 1 {
				time.Sleep(40 * time.Millisecond) // the other request waits by then
				set(g, &g.marksErr, errors.New("redis is away"))
				return reply{status: 500}
			}
			return reply{takes: 80 * time.Millisecond}
		}
		g.all(2, request())
		set(g, &g.marksErr, nil)
		g.expect("with marks", request(), enrich.Reused, 2)
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

// TestSlowMarks: purge marks that don't come cost a request a bounded time.
func TestSlowMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := open(t, nil, nil)
		g.o.Marks = func(ctx context.Context) (map[string]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if r := g.expect("slow marks", request(), enrich.Enriched, 1); r.waited != redisTime {
			t.Errorf("got a wait of %v, want %v", r.waited, redisTime)
		}
	})
}
