package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"

	"m2m-token-enricher/test/measure"
)

// watchedConnections is how many clients ask at once.
const watchedConnections = 64

// watchedRounds multiplies the rounds: two rounds differ by more than watching
// costs.
const watchedRounds = 10

// watcher is a way to watch the plugin.
type watcher struct {
	name      string
	args, env []string
}

const (
	unwatched = "nobody"
	counted   = "metrics"
)

// watchers are nobody, each alone, and all together.
func (s *stand) watchers() []watcher {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // accepts everything
	s.closers.Add(func() error { collector.Close(); return nil })
	traced := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL}
	file := func(name string) string { return filepath.Join(s.bench.dir, name) }
	return []watcher{
		{name: unwatched},
		{name: "nobody, a second one"},
		{name: counted, args: []string{"-metrics", file("metrics-1")}},
		{name: "audit log", args: []string{"-audit", file("audit-1")}},
		{name: "traces, every token", env: traced},
		{name: "all three", args: []string{"-metrics", file("metrics-2"), "-audit", file("audit-2")}, env: traced},
	}
}

// measureWatched compares a watched plugin with one that nobody watches. It
// signs ES256: of the cheapest token, watching is the largest share.
func measureWatched(ctx context.Context, b *bench) (r report, err error) {
	s := &stand{bench: b}
	defer func() { err = errors.Join(err, s.closers.Close()) }()
	routes, err := s.watchedRoutes(ctx)
	if err != nil {
		return report{}, err
	}
	more := *b
	more.rounds *= watchedRounds
	all, err := more.interleave(ctx, routes, []int{watchedConnections})
	if err != nil {
		return report{}, err
	}
	return report{
		sections: map[string]string{"watched": watchedTable(routes, all)},
		verdicts: []measure.Verdict{
			measure.AtLeast("metrics on, ES256 at 64 connections, tokens/s of metrics off", all.ratio(counted, unwatched, watchedConnections, rate), 0.98, " ×"),
		},
	}, nil
}

func (s *stand) watchedRoutes(ctx context.Context) ([]route, error) {
	id := measure.ApplicationID(0)
	p, err := s.provider("RS256", []string{id})
	if err != nil {
		return nil, err
	}
	records, err := s.records(ctx, 1, 0)
	if err != nil {
		return nil, err
	}
	var routes []route
	for _, w := range s.watchers() {
		g, err := s.gateway(ctx, setting{binary: s.bench.binary, key: "ec", provider: p, records: records, args: w.args, env: w.env})
		if err != nil {
			return nil, fmt.Errorf("watched by %s: %w", w.name, err)
		}
		r := route{w.name, g, always(measure.TokenRequest(id))}
		if err := r.expect(p, id, true); err != nil {
			return nil, err
		}
		routes = append(routes, r)
	}
	return routes, nil
}

// ratio is the median of a route's value divided by another one's in the same
// round.
func (r results) ratio(route, of string, connections int, value func(sample) float64) float64 {
	var ratios []float64
	for i, one := range r[spot{route, connections}] {
		ratios = append(ratios, value(one)/value(r[spot{of, connections}][i]))
	}
	return measure.Median(ratios)
}

func watchedTable(routes []route, all results) string {
	rows := [][]string{{"watched by", "-tokens/s", "-of nobody's", "-plugin CPU µs", "-of nobody's", "-p99 ms", "-plugin RSS MiB"}}
	for _, r := range routes {
		at := spot{r.name, watchedConnections}
		rows = append(rows, []string{
			r.name, fmt.Sprintf("%.0f", all.median(at, rate)), fmt.Sprintf("%.3f", all.ratio(r.name, unwatched, watchedConnections, rate)),
			fmt.Sprintf("%.1f", all.median(at, cpu)), fmt.Sprintf("%.3f", all.ratio(r.name, unwatched, watchedConnections, cpu)),
			fmt.Sprintf("%.2f", all.median(at, p99)), fmt.Sprintf("%.0f", all.median(at, resident)),
		})
	}
	return measure.Table(rows)
}
