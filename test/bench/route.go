package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/measure"
	"m2m-token-enricher/test/stage"
)

// route is one kind of request to a gateway.
type route struct {
	name    string
	gateway *kongtest.StandIn
	next    func() []byte // the next request
}

// sample is one measurement of a route. CPU time and memory are those of the
// plugin's process, zero without a plugin.
type sample struct {
	rate     float64 // answers per second
	p50, p99 float64 // ms
	cpu      float64 // µs for each answer
	resident float64 // MiB, at the end
}

// spot is a route at a number of connections.
type spot struct {
	route       string
	connections int
}

// results are the samples of each spot.
type results map[spot][]sample

func (r results) median(s spot, of func(sample) float64) float64 {
	var values []float64
	for _, one := range r[s] {
		values = append(values, of(one))
	}
	return measure.Median(values)
}

func rate(s sample) float64     { return s.rate }
func p50(s sample) float64      { return s.p50 }
func p99(s sample) float64      { return s.p99 }
func cpu(s sample) float64      { return s.cpu }
func resident(s sample) float64 { return s.resident }

// interleave measures each route at each number of connections for several
// rounds, in turns: other load on the machine affects all of them alike.
func (b *bench) interleave(ctx context.Context, routes []route, connections []int) (results, error) {
	for _, r := range routes { // instances start with the first request, and heaps grow
		if _, err := r.measure(ctx, 8, b.span/2); err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	all := results{}
	for round := range b.rounds {
		for _, n := range connections {
			for i := range routes {
				r := routes[(i+round)%len(routes)] // or the same route would always follow the same one
				one, err := r.measure(ctx, n, b.span)
				if err != nil {
					return nil, fmt.Errorf("%s at %d connections: %w", r.name, n, err)
				}
				at := spot{r.name, n}
				all[at] = append(all[at], one)
			}
		}
	}
	return all, ctx.Err()
}

func (r route) measure(ctx context.Context, n int, span time.Duration) (s sample, err error) {
	pid := r.gateway.PluginPID()
	var before time.Duration
	if pid != 0 {
		if before, err = measure.CPUTime(pid); err != nil {
			return s, err
		}
	}
	begin := time.Now()
	took, err := load(ctx, measure.HostPort(r.gateway.URL()), n, span, r.next)
	if err != nil {
		return s, err
	}
	s.rate = float64(len(took)) / time.Since(begin).Seconds()
	s.p50, s.p99 = milliseconds(took[len(took)/2]), milliseconds(took[len(took)*99/100])
	if pid == 0 {
		return s, nil
	}
	if r.gateway.PluginPID() != pid {
		return s, errors.New("the plugin ended meanwhile")
	}
	after, err := measure.CPUTime(pid)
	if err != nil {
		return s, err
	}
	s.cpu = float64((after - before).Nanoseconds()) / 1000 / float64(len(took))
	s.resident, err = measure.ResidentSize(pid)
	return s, err
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// expect asks once for the token of the application called id. It returns an
// error unless the token is enriched, or, if it shouldn't be, the provider's
// own. Otherwise a wrong configuration would be measured.
func (r route) expect(p *measure.Provider, id string, enriched bool) error {
	c := &measure.Client{Address: measure.HostPort(r.gateway.URL())}
	var body bytes.Buffer
	err := errors.Join(c.Ask(measure.TokenRequest(id), &body), c.Close())
	var token string
	if err == nil {
		token, err = stage.AccessToken(body.Bytes())
	}
	if err == nil && enriched == (token == p.Tokens[id]) {
		err = fmt.Errorf("got an enriched token: %t, want %t", !enriched, enriched)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return nil
}
