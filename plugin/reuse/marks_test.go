package reuse

import (
	"errors"
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

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
