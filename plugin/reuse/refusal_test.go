package reuse

import (
	"context"
	"maps"
	"strconv"
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

// TestRefusedMeanwhile: an answer for which the provider was asked before it refused the
// same request isn't held. The provider may have accepted it before.
func TestRefusedMeanwhile(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.provider = func(*Request) reply {
			if g.calls.Load() == 1 {
				return reply{takes: 10 * time.Second}
			}
			return reply{status: 401, takes: time.Second}
		}
		slow := make(chan enrich.Outcome)
		go func() { slow <- g.ask(request()).Outcome }()
		time.Sleep(2 * time.Second)
		g.expect("the provider refuses", request(), enrich.UpstreamError, 2)
		if got := <-slow; got != enrich.Enriched {
			t.Errorf("the first: got %s, want %s", got, enrich.Enriched)
		}
		g.expect("after both", request(), enrich.UpstreamError, 3)
		g.provider = nil
		g.expect("the provider accepts it", request(), enrich.Enriched, 4)
		g.expect("its repeat", request(), enrich.Reused, 4)
	})
}

// TestRefusalIsRemembered: a gateway that knows of a refusal takes no older answer from
// Redis, whoever put it there.
func TestRefusalIsRemembered(t *testing.T) {
	inFleet(t, ifProviderFails, func(t *testing.T, r *redis, one, _ *gateway) {
		one.expect("the first", request(), enrich.Enriched, 1)
		old := maps.Clone(r.values)
		time.Sleep(10 * time.Minute)
		one.provider = func(*Request) reply { return reply{status: 401} }
		one.expect("the provider refuses", request(), enrich.UpstreamError, 2)
		r.spoil = func(name string, _ []byte) ([]byte, error) { return old[name], nil }
		one.provider = func(*Request) reply { return reply{status: 503} }
		one.expect("in an outage", request(), enrich.UpstreamError, 3)
		set(one, &one.provider, nil)
		one.expect("the provider accepts it", request(), enrich.Enriched, 4)
		one.expect("its repeat", request(), enrich.Reused, 4)
	})
}

// TestRefusedRequest: once the provider refuses a request, what was held for it isn't
// given any more, in an outage, either, nor by gateways that share.
func TestRefusedRequest(t *testing.T) {
	for _, status := range []int{400, 401, 403} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			inFleet(t, ifProviderFails, func(t *testing.T, r *redis, one, other *gateway) {
				one.expect("the first", request(), enrich.Enriched, 1)
				time.Sleep(10 * time.Minute)
				one.provider = func(*Request) reply { return reply{status: status} }
				one.expect("the provider refuses", request(), enrich.UpstreamError, 2)
				for _, g := range []*gateway{one, other} {
					set(g, &g.provider, func(*Request) reply { return reply{status: 503, retryAfter: "30"} })
					set(g, &g.alive, func(context.Context) error { return errAnyway })
					if r := g.ask(request()); r.Outcome != enrich.UpstreamError {
						t.Errorf("in an outage: got %s, want %s", r.Outcome, enrich.UpstreamError)
					}
					if n := g.Stats().SharedErrors; n != 0 {
						t.Errorf("got %d errors of Redis, want none", n)
					}
				}
			})
		})
	}
}

// TestRefusedElsewhere: a gateway that reads of a refusal at another one drops what it has
// from before that, for outages, too.
func TestRefusedElsewhere(t *testing.T) {
	inFleet(t, ifProviderFails, func(t *testing.T, r *redis, one, other *gateway) {
		one.expect("one gateway", request(), enrich.Enriched, 1)
		other.expect("another gateway", request(), enrich.Reused, 0)
		time.Sleep(10 * time.Minute)
		one.provider = func(*Request) reply { return reply{status: 401} }
		one.expect("the provider refuses", request(), enrich.UpstreamError, 2)
		set(other, &other.provider, func(*Request) reply { return reply{status: 503} })
		other.expect("the provider fails", request(), enrich.UpstreamError, 1)
		set(other, &other.alive, func(context.Context) error { return errAnyway })
		time.Sleep(10 * time.Second)
		other.expect("the provider is silent", request(), enrich.UpstreamError, 2)
	})
}

// TestRefusalFromTheFuture: a refusal at a gateway whose clock is ahead counts, but not
// against later answers.
func TestRefusalFromTheFuture(t *testing.T) {
	for _, ahead := range []time.Duration{59 * time.Second, time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			inFleet(t, ifProviderFails, func(t *testing.T, r *redis, one, other *gateway) {
				one.life = 3 * time.Hour
				one.expect("one gateway", request(), enrich.Enriched, 1)
				other.expect("another gateway", request(), enrich.Reused, 0)
				time.Sleep(10 * time.Minute)
				one.o.Now = func() time.Time { return time.Now().Add(ahead) }
				one.provider = func(*Request) reply { return reply{status: 401} }
				one.expect("the provider refuses", request(), enrich.UpstreamError, 2)
				other.provider = func(*Request) reply { return reply{status: 503} }
				other.expect("the provider fails", request(), enrich.UpstreamError, 1)
				set(other, &other.provider, nil)
				other.expect("the provider accepts it", request(), enrich.Enriched, 2)
				other.expect("its repeat", request(), enrich.Reused, 2)
			})
		})
	}
}

// TestOlderRefusal: a refusal that another gateway got before an answer was asked for
// doesn't count against this answer.
func TestOlderRefusal(t *testing.T) {
	inFleet(t, ifProviderFails, func(t *testing.T, r *redis, one, other *gateway) {
		one.expect("one gateway", request(), enrich.Enriched, 1)
		time.Sleep(10 * time.Minute)
		one.provider = func(*Request) reply { return reply{status: 401} }
		one.expect("the provider refuses", request(), enrich.UpstreamError, 2)
		refusals := maps.Clone(r.values)
		time.Sleep(time.Minute)
		other.expect("the provider accepts it", request(), enrich.Enriched, 1)
		r.spoil = func(name string, _ []byte) ([]byte, error) { return refusals[name], nil } // the answer wasn't shared
		time.Sleep(10 * time.Minute)
		set(other, &other.provider, func(*Request) reply { return reply{status: 503} })
		other.expect("in an outage", request(), enrich.ReusedInOutage, 2)
	})
}
