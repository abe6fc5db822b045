package reuse

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

// repeated returns a gateway that holds the answers to n requests, and these.
func repeated(b *testing.B, n int) (*gateway, []Request) {
	g := open(b, nil, nil)
	requests := make([]Request, n)
	for i := range requests {
		requests[i] = request()
		requests[i].Cookie = fmt.Sprint(i)
		e := newEntry(g.keys.request(&g.o.Identity, &requests[i]), held(b, fmt.Sprint("client ", i), "{}", time.Hour), stamp{}, time.Now(), time.Now().Add(time.Hour))
		g.store.put(e, time.Now())
	}
	return g, requests
}

// BenchmarkFind is a repeat that is answered, without what Again does.
func BenchmarkFind(b *testing.B) {
	g, requests := repeated(b, 1000)
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, ok := g.Find(ctx, requests[n%len(requests)], ""); !ok {
			b.Fatal("got no answer")
		}
	}
}

// BenchmarkParallel is the same from all processors at once.
func BenchmarkParallel(b *testing.B) {
	g, requests := repeated(b, 1000)
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			if _, ok := g.Find(ctx, requests[n%len(requests)], ""); !ok {
				b.Fatal("got no answer")
			}
		}
	})
}

// BenchmarkFirst is a first request, without the provider's part.
func BenchmarkFirst(b *testing.B) {
	g, _ := repeated(b, 0)
	r := enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, ClientID: "app"}
	h := held(b, "app", "{}", time.Hour)
	g.Answers.held = func(enrich.Result) (*enrich.Held, error) { return h, nil }
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	q := request()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		q.ID = strconv.Itoa(n)
		q.Cookie = q.ID
		if _, ok := g.Find(ctx, q, ""); ok {
			b.Fatal("got an answer")
		}
		g.Answered(q.ID, q.Authorization, q.Body, r, nil)
	}
}
