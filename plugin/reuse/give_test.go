package reuse

import (
	"context"
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

// TestDroppedMeanwhile: an answer that is dropped while the records are read for a repeat
// isn't given.
func TestDroppedMeanwhile(t *testing.T) {
	for name, drop := range map[string]func(g *gateway){
		"purged": func(g *gateway) {
			g.mark("client:app", "1")
			other := request()
			other.Host = "other"
			g.ask(other) // sees the mark
		},
		"refused": func(g *gateway) {
			p := &pending{id: "refused", key: g.keys.request(&g.o.Identity, new(request())), asked: time.Now()}
			g.Answers.mu.Lock()
			g.pending.add(p)
			g.Answers.mu.Unlock()
			g.Answered("refused", "", nil, enrich.Result{Outcome: enrich.UpstreamError, Status: 401}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, nil, func(t *testing.T, g *gateway) {
				first := g.expect("the first", request(), enrich.Enriched, 1)
				set(g, &g.again, func(*enrich.Held) error {
					set(g, &g.again, nil)
					drop(g)
					return nil
				})
				if r := g.ask(request()); string(r.Body) == string(first.Body) {
					t.Errorf("got the dropped answer %s as %s", r.Body, r.Outcome)
				}
			})
		})
	}
}

// TestPurgedMeanwhile: a purge that arrives while a request waits, for the provider that
// fails or for its sign of life, counts for the old answer. So do marks that get unknown.
func TestPurgedMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		event  func(*gateway)
		silent bool
	}{
		"purged at the provider":  {func(g *gateway) { g.mark("client:app", "1") }, false},
		"unknown at the provider": {func(g *gateway) { set(g, &g.marksErr, errAnyway) }, false},
		"purged in a probe":       {func(g *gateway) { g.mark("client:app", "1") }, true},
		"unknown in a probe":      {func(g *gateway) { set(g, &g.marksErr, errAnyway) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			withOld(t, ifProviderFails, func(t *testing.T, g *gateway) {
				g.provider = func(*Request) reply {
					if !test.silent {
						test.event(g)
					}
					return reply{status: 503}
				}
				g.alive = func(context.Context) error {
					if !test.silent {
						return nil
					}
					test.event(g)
					return errAnyway
				}
				g.expect("an old answer", request(), enrich.UpstreamError, 2)
			})
		})
	}
}
