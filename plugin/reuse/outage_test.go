package reuse

import (
	"context"
	"errors"
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

func ifProviderFails(cfg *schema.Config) { cfg.Reuse.IfProviderFails = true }

// withOld runs a test with an answer that is held and too old to be given while the
// provider works.
func withOld(t *testing.T, change func(*schema.Config), f func(*testing.T, *gateway)) {
	t.Helper()
	in(t, change, func(t *testing.T, g *gateway) {
		g.expect("the first", request(), enrich.Enriched, 1)
		time.Sleep(10 * time.Minute)
		f(t, g)
	})
}

// TestInstead: when the provider answers 5xx or 429, an answer is given that still
// lives, however old, and only if that is asked for.
func TestInstead(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		change func(*schema.Config)
		age    time.Duration
		again  error
		want   enrich.Outcome
	}{
		"500":              {500, ifProviderFails, 0, nil, enrich.ReusedInOutage},
		"502":              {502, ifProviderFails, 0, nil, enrich.ReusedInOutage},
		"599":              {599, ifProviderFails, 0, nil, enrich.ReusedInOutage},
		"429":              {429, ifProviderFails, 0, nil, enrich.ReusedInOutage},
		"400":              {400, ifProviderFails, 0, nil, enrich.UpstreamError},
		"401":              {401, ifProviderFails, 0, nil, enrich.UpstreamError},
		"403":              {403, ifProviderFails, 0, nil, enrich.UpstreamError},
		"not asked for":    {503, nil, 0, nil, enrich.UpstreamError},
		"in its last ms":   {503, ifProviderFails, 49*time.Minute - 81*time.Millisecond, nil, enrich.ReusedInOutage},
		"at min_remaining": {503, ifProviderFails, 49*time.Minute - 80*time.Millisecond, nil, enrich.UpstreamError},
		"suspended":        {503, ifProviderFails, 0, errAnyway, enrich.UpstreamError},
	} {
		t.Run(name, func(t *testing.T) {
			withOld(t, test.change, func(t *testing.T, g *gateway) {
				time.Sleep(test.age)
				g.provider = func(*Request) reply { return reply{takes: 80 * time.Millisecond, status: test.status} }
				g.again = func(*enrich.Held) error { return test.again }
				r := g.expect("the repeat", request(), test.want, 2)
				if r.Outcome == enrich.ReusedInOutage && r.Cause == nil {
					t.Error("got no cause for the log")
				}
			})
		})
	}
}

// TestSilentProvider: an old answer is given in the access phase if the provider gives
// no sign of life; a provider that lives is asked.
func TestSilentProvider(t *testing.T) {
	withOld(t, ifProviderFails, func(t *testing.T, g *gateway) {
		g.alive = func(context.Context) error { return errors.New("no route to host") }
		for range 10 {
			if r := g.expect("silent", request(), enrich.ReusedInOutage, 1); r.took > 0 {
				t.Errorf("got the answer after %v, want it at once", r.took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		set(g, &g.alive, nil)
		time.Sleep(time.Second)
		g.expect("it lives", request(), enrich.Enriched, 2)
	})
}

// TestHangingProvider: a probe that hangs costs the first request half of its time, and
// the next ones nothing.
func TestHangingProvider(t *testing.T) {
	withOld(t, ifProviderFails, func(t *testing.T, g *gateway) {
		g.alive = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		for _, r := range g.all(100, request()) {
			if r.Outcome != enrich.ReusedInOutage || r.took != 500*time.Millisecond {
				t.Errorf("at first: got %s after %v, want %s after 500ms", r.Outcome, r.took, enrich.ReusedInOutage)
			}
		}
		for range 30 {
			time.Sleep(200 * time.Millisecond)
			if r := g.expect("then", request(), enrich.ReusedInOutage, 1); r.took > 0 {
				t.Errorf("then: got the answer after %v, want it at once", r.took)
			}
		}
		if n := g.probes.Load(); n < 3 || n > 4 {
			t.Errorf("got %d probes in 6.5 s, want one every two seconds", n)
		}
	})
}

// TestSignOfLifeOfOthers: answers to other requests are a sign of life, so nothing is
// probed and the provider is asked.
func TestSignOfLifeOfOthers(t *testing.T) {
	withOld(t, ifProviderFails, func(t *testing.T, g *gateway) {
		g.alive = func(context.Context) error { return errAnyway }
		other := request()
		other.Host = "other"
		g.expect("another request", other, enrich.Enriched, 2)
		time.Sleep(999 * time.Millisecond)
		g.expect("the repeat", request(), enrich.Enriched, 3)
		if n := g.probes.Load(); n != 0 {
			t.Errorf("got %d probes, want none", n)
		}
	})
}

// TestNoProbeWithoutUse: nothing is probed for requests that have no old answer, or
// without if_provider_fails.
func TestNoProbeWithoutUse(t *testing.T) {
	withOld(t, nil, func(t *testing.T, g *gateway) {
		g.expect("without if_provider_fails", request(), enrich.Enriched, 2)
		if n := g.probes.Load(); n != 0 {
			t.Errorf("got %d probes, want none", n)
		}
	})
	in(t, ifProviderFails, func(t *testing.T, g *gateway) {
		g.alive = func(context.Context) error { return errAnyway }
		g.expect("without an answer", request(), enrich.Enriched, 1)
		if n := g.probes.Load(); n != 0 {
			t.Errorf("got %d probes, want none", n)
		}
	})
}

// TestOnlyInOutage: with a share_of_life of 0, answers are held for outages alone, and
// requests don't wait for each other.
func TestOnlyInOutage(t *testing.T) {
	in(t, func(cfg *schema.Config) { cfg.Reuse.ShareOfLife, cfg.Reuse.IfProviderFails = 0, true }, func(t *testing.T, g *gateway) {
		g.expect("the first", request(), enrich.Enriched, 1)
		for _, r := range g.all(10, request()) {
			if r.Outcome != enrich.Enriched || r.took != 80*time.Millisecond {
				t.Errorf("got %s after %v, want %s after 80ms", r.Outcome, r.took, enrich.Enriched)
			}
		}
		g.provider = func(*Request) reply { return reply{status: 503} }
		g.expect("in an outage", request(), enrich.ReusedInOutage, 12)
	})
}

// TestRetryAfter: until the provider's Retry-After, requests with an old answer get
// that, and others go to the provider.
func TestRetryAfter(t *testing.T) {
	withOld(t, ifProviderFails, func(t *testing.T, g *gateway) {
		g.provider = func(q *Request) reply {
			if q.Host == "limited" {
				return reply{status: 429, retryAfter: "30"}
			}
			return reply{}
		}
		limited := request()
		limited.Host = "limited"
		g.expect("the one that is limited", limited, enrich.UpstreamError, 2)
		g.expect("an old answer", request(), enrich.ReusedInOutage, 2)
		other := request()
		other.Host = "other"
		g.expect("no old answer", other, enrich.Enriched, 3)
		g.expect("its repeat", other, enrich.Reused, 3)
		time.Sleep(30*time.Second - time.Millisecond)
		g.expect("before the end", request(), enrich.ReusedInOutage, 3)
		time.Sleep(time.Millisecond)
		g.expect("at the end", request(), enrich.Enriched, 4)
	})
}

// TestWaitersInOutage: those that wait get the old answer as soon as the first one's call
// fails, or when their time ends.
func TestWaitersInOutage(t *testing.T) {
	for name, test := range map[string]struct {
		reply reply
		until time.Duration
	}{
		"503":   {reply{status: 503, takes: 80 * time.Millisecond}, 80 * time.Millisecond},
		"never": {reply{never: true, takes: time.Minute}, 950 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			withOld(t, ifProviderFails, func(t *testing.T, g *gateway) {
				g.provider = func(*Request) reply { return test.reply }
				served := 0
				for _, r := range g.all(100, request()) {
					if r.Outcome == enrich.ReusedInOutage && r.took <= test.until {
						served++
					}
				}
				if n := g.calls.Load() - 1; n != 1 || served < 99 {
					t.Errorf("got %d calls and %d old answers within %v, want 1 and at least 99", n, served, test.until)
				}
			})
		})
	}
}

// TestOutageOfAnHour: clients that were served before have no failure while their tokens
// live, whether the provider answers 503 or is silent.
func TestOutageOfAnHour(t *testing.T) {
	for name, alive := range map[string]error{"503": nil, "silent": errAnyway} {
		t.Run(name, func(t *testing.T) {
			in(t, ifProviderFails, func(t *testing.T, g *gateway) {
				g.life = 2 * time.Hour
				g.expect("the first", request(), enrich.Enriched, 1)
				g.provider = func(*Request) reply { return reply{status: 503, takes: 80 * time.Millisecond} }
				g.alive = func(context.Context) error { return alive }
				for range 3600 / 7 {
					time.Sleep(7 * time.Second)
					if r := g.ask(request()); r.Outcome != enrich.Reused && r.Outcome != enrich.ReusedInOutage {
						t.Fatalf("got %s, want an answer", r.Outcome)
					}
				}
				set(g, &g.provider, nil)
				set(g, &g.alive, nil)
				time.Sleep(2 * time.Second)
				g.ask(request())
				g.expect("after it", request(), enrich.Reused, g.calls.Load())
			})
		})
	}
}

// TestUnknownStays: what can't be decided because the request's time ends isn't dropped.
func TestUnknownStays(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.expect("the first", request(), enrich.Enriched, 1)
		q := request()
		q.ID = "late"
		ctx, cancel := context.WithCancel(t.Context())
		set(g, &g.again, func(*enrich.Held) error {
			cancel()
			return ctx.Err()
		})
		g.Find(ctx, q, "")
		set(g, &g.again, nil)
		g.expect("the next", request(), enrich.Reused, 1)
	})
}
