package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"m2m-token-enricher/test/measure"
)

// growthConnections is how many clients ask at once.
const growthConnections = 64

// maxActive is how many applications ask for tokens at most.
const maxActive = 100_000

// scale is one step of the growth.
type scale struct {
	route
	applications, active, claims int
}

func measureGrowth(ctx context.Context, b *bench) (r report, err error) {
	s := &stand{bench: b}
	defer func() { err = errors.Join(err, s.closers.Close()) }()
	p, err := s.provider("EdDSA", measure.ApplicationIDs(maxActive))
	if err != nil {
		return report{}, err
	}
	var scales []scale
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		one, err := s.applications(ctx, p, n)
		if err != nil {
			return report{}, fmt.Errorf("%d applications: %w", n, err)
		}
		scales = append(scales, one)
	}
	for _, n := range []int{1, 10, 50} {
		one, err := s.claims(ctx, p, n)
		if err != nil {
			return report{}, fmt.Errorf("%d claims: %w", n, err)
		}
		scales = append(scales, one)
	}
	var routes []route
	for _, one := range scales {
		routes = append(routes, one.route)
	}
	all, err := b.interleave(ctx, routes, []int{growthConnections})
	if err != nil {
		return report{}, err
	}
	million := spot{scales[2].name, growthConnections}
	return report{
		sections: map[string]string{"growth": growthTable(scales, all)},
		verdicts: []measure.Verdict{measure.AtMost("p99 at 64 connections, 1,000,000 applications in Redis, 100,000 active, of p50",
			all.median(million, p99)/all.median(million, p50), 4, " ×")},
	}, nil
}

// applications is a gateway with the default cache and n applications in
// Redis. At most maxActive of them ask.
func (s *stand) applications(ctx context.Context, p *measure.Provider, n int) (scale, error) {
	active := min(n, maxActive)
	next := func() []byte { return measure.TokenRequest(measure.ApplicationID(rand.IntN(active))) }
	one := scale{route{fmt.Sprintf("%d applications", n), nil, next}, n, active, 2}
	return one, s.start(ctx, &one, p, 0, map[string]any{"algorithms": []any{"EdDSA"}})
}

// claims is a gateway that adds n claims to the tokens of one application.
func (s *stand) claims(ctx context.Context, p *measure.Provider, n int) (scale, error) {
	var mappings []any
	for i := range n {
		mappings = append(mappings, map[string]any{"name": measure.Property(i), "from": "application." + measure.Property(i)})
	}
	one := scale{route{fmt.Sprintf("%d claims", n), nil, always(measure.TokenRequest(measure.ApplicationID(0)))}, 1, 1, n}
	return one, s.start(ctx, &one, p, n, map[string]any{"algorithms": []any{"EdDSA"}, "claims": mappings})
}

// start fills a Redis and starts the gateway of a scale.
func (s *stand) start(ctx context.Context, one *scale, p *measure.Provider, extra int, config map[string]any) error {
	r, err := s.records(ctx, one.applications, extra)
	if err != nil {
		return err
	}
	if one.gateway, err = s.gateway(ctx, setting{binary: s.bench.binary, key: "ec", provider: p, records: r, config: config}); err != nil {
		return err
	}
	return one.expect(p, measure.ApplicationID(0), true)
}

func growthTable(scales []scale, all results) string {
	rows := [][]string{{"-applications in Redis", "-active", "-claims", "-tokens/s", "-p50 ms", "-p99 ms", "-plugin CPU µs", "-plugin RSS MiB"}}
	for _, one := range scales {
		at := spot{one.name, growthConnections}
		rows = append(rows, []string{
			fmt.Sprint(one.applications), fmt.Sprint(one.active), fmt.Sprint(one.claims), fmt.Sprintf("%.0f", all.median(at, rate)),
			fmt.Sprintf("%.2f", all.median(at, p50)), fmt.Sprintf("%.2f", all.median(at, p99)),
			fmt.Sprintf("%.0f", all.median(at, cpu)), fmt.Sprintf("%.0f", all.median(at, resident)),
		})
	}
	return measure.Table(rows) + "\n\nRecords in " + measure.KindOfRedis() + "."
}
