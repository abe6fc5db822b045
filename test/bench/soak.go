package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"m2m-token-enricher/test/measure"
)

const (
	soakConnections  = 256
	soakApplications = 10_000
	soakMemory       = 64 // MiB
	// flat bounds the growth of memory from the second quarter of the time to
	// the last one. The first quarter fills the cache and the heap.
	flat = 1.05
)

// The goals of the soak.
var (
	soakPeak = fmt.Sprintf("RSS at %d connections, %d cached applications, peak", soakConnections, soakApplications)
	soakFlat = fmt.Sprintf("RSS at %d connections, last quarter of the second", soakConnections)
)

func measureSoak(ctx context.Context, b *bench) (r report, err error) {
	if b.soak == 0 {
		const why = "only with -soak 5m"
		return report{verdicts: []measure.Verdict{measure.Unmeasured(soakPeak, why), measure.Unmeasured(soakFlat, why)}}, nil
	}
	s := &stand{bench: b}
	defer func() { err = errors.Join(err, s.closers.Close()) }()
	busy, err := s.soakRoute(ctx)
	if err != nil {
		return report{}, err
	}
	whole, sizes, err := busy.watch(ctx, b.soak)
	if err != nil {
		return report{}, err
	}
	quarter := len(sizes) / 4
	early, late := measure.Median(sizes[quarter:2*quarter]), measure.Median(sizes[3*quarter:])
	rows := [][]string{
		{"-time", "-connections", "-cached applications", "-tokens/s", "-RSS MiB, peak", "-second quarter", "-last quarter"},
		{
			b.soak.String(), fmt.Sprint(soakConnections), fmt.Sprint(soakApplications), fmt.Sprintf("%.0f", whole.rate),
			fmt.Sprintf("%.1f", slices.Max(sizes)), fmt.Sprintf("%.1f", early), fmt.Sprintf("%.1f", late),
		},
	}
	return report{
		sections: map[string]string{"soak": measure.Table(rows) + "\n\nMeasured at " + state(ctx) + "."},
		verdicts: []measure.Verdict{measure.AtMost(soakPeak, slices.Max(sizes), soakMemory, " MiB"), measure.AtMost(soakFlat, late/early, flat, " ×")},
	}, nil
}

// soakRoute asks for one application after the other: all are cached.
func (s *stand) soakRoute(ctx context.Context) (r route, err error) {
	p, err := s.provider("EdDSA", measure.ApplicationIDs(soakApplications))
	if err != nil {
		return r, err
	}
	records, err := s.records(ctx, soakApplications, 0)
	if err != nil {
		return r, err
	}
	r.name = "soak"
	r.gateway, err = s.gateway(ctx, setting{binary: s.bench.binary, key: "ec", provider: p, records: records, config: map[string]any{
		"algorithms": []any{"EdDSA"},
		"cache":      map[string]any{"max_entries": soakApplications + organizations}, // by default 10,000 of both
	}})
	if err != nil {
		return r, err
	}
	var turn atomic.Int64
	r.next = func() []byte { return measure.TokenRequest(measure.ApplicationID(int(turn.Add(1)) % soakApplications)) }
	return r, r.expect(p, measure.ApplicationID(0), true)
}

// watch measures for span, and the plugin's memory a hundred times or more.
func (r route) watch(ctx context.Context, span time.Duration) (whole sample, sizes []float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		var err error
		whole, err = r.measure(ctx, soakConnections, span)
		ended <- err
	}()
	tick := time.NewTicker(min(time.Second, span/100))
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if len(sizes) < 4 {
				err = errors.Join(err, ctx.Err(), errors.New("the load ended before memory was measured"))
			}
			return whole, sizes, err
		case <-tick.C:
			size, err := measure.ResidentSize(r.gateway.PluginPID())
			if err != nil {
				cancel()
				return whole, sizes, errors.Join(err, <-ended)
			}
			sizes = append(sizes, size)
		}
	}
}
