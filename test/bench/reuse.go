package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"m2m-token-enricher/test/measure"
)

// The routes of the reuse part. All first requests differ.
const (
	firstOff   = "first request, reuse off"
	firstOn    = "first request, reuse on"
	againOff   = "the same request again, reuse off"
	againOn    = "the same request again, reuse on"
	distantOff = "the same, provider of 80 ms, reuse off"
	distantOn  = "the same, provider of 80 ms, reuse on"
	farOff     = "first request, provider of 80 ms, reuse off"
	farOn      = "first request, provider of 80 ms, reuse on"
)

const (
	reuseConnections  = 8
	reuseApplications = 1000
	reuseRounds       = 10 // times -rounds: what a first request costs more is little
	distance          = 80 * time.Millisecond
	crowdSize         = 1000 // identical first requests at once
)

// reusing is what the gateways of the part share, and what was counted.
type reusing struct {
	near, far *measure.Provider
	routes    []route
	distant   []route
	calls     map[string]float64 // to the provider, for each request
	crowd     []float64          // calls to the provider for a crowd
}

// measureReuse compares an answer that is given again with one that isn't.
func measureReuse(ctx context.Context, b *bench) (r report, err error) {
	s := &stand{bench: b}
	defer func() { err = errors.Join(err, s.closers.Close()) }()
	u, err := s.reuseRoutes(ctx)
	if err != nil {
		return report{}, err
	}
	more := *b
	more.rounds *= reuseRounds
	more.span /= 2
	all, err := more.interleave(ctx, u.routes, []int{reuseConnections})
	if err != nil {
		return report{}, err
	}
	distant, err := b.interleave(ctx, u.distant, []int{reuseConnections})
	if err != nil {
		return report{}, err
	}
	for at, samples := range distant {
		all[at] = samples
	}
	if err := u.count(ctx, b); err != nil {
		return report{}, err
	}
	simulated, err := simulate(ctx)
	if err != nil {
		return report{}, err
	}
	return report{
		sections: map[string]string{"reuse": u.table(all) + "\n\n" + u.crowded() + "\n" + simulated.text() + "\n\nMeasured at " + state(ctx) + "."},
		verdicts: append(u.verdicts(all), simulated.verdicts()...),
	}, nil
}

func (s *stand) reuseRoutes(ctx context.Context) (u *reusing, err error) {
	ids := measure.ApplicationIDs(reuseApplications)
	u = &reusing{calls: map[string]float64{}}
	if u.near, err = s.provider("RS256", ids); err != nil {
		return nil, err
	}
	if u.far, err = s.provider("RS256", ids[:1]); err != nil {
		return nil, err
	}
	u.far.Delay = distance
	records, err := s.records(ctx, reuseApplications, 0)
	if err != nil {
		return nil, err
	}
	for _, one := range []struct {
		name     string
		reuse    bool
		provider *measure.Provider
		next     func() []byte
	}{
		{firstOff, false, u.near, different(ids)}, {firstOn, true, u.near, different(ids)},
		{againOff, false, u.near, always(measure.TokenRequest(ids[0]))}, {againOn, true, u.near, always(measure.TokenRequest(ids[0]))},
		{distantOff, false, u.far, always(measure.TokenRequest(ids[0]))}, {distantOn, true, u.far, always(measure.TokenRequest(ids[0]))},
		{farOff, false, u.far, different(ids[:1])}, {farOn, true, u.far, different(ids[:1])},
	} {
		config := map[string]any{"reuse": map[string]any{"enabled": one.reuse}}
		g, err := s.gateway(ctx, setting{binary: s.bench.binary, key: "ec", provider: one.provider, records: records, config: config})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.name, err)
		}
		r := route{one.name, g, one.next}
		if err := r.expect(one.provider, ids[0], true); err != nil {
			return nil, err
		}
		if one.provider == u.far {
			u.distant = append(u.distant, r)
		} else {
			u.routes = append(u.routes, r)
		}
	}
	return u, nil
}

// different returns a function that returns another request each time.
func different(ids []string) func() []byte {
	var turn atomic.Int64
	return func() []byte {
		n := int(turn.Add(1))
		return measure.TokenRequest(ids[n%len(ids)] + fmt.Sprintf("&nonce=%d", n))
	}
}

// count counts the calls to the provider, for each route and for a crowd.
func (u *reusing) count(ctx context.Context, b *bench) error {
	for _, r := range append(u.routes, u.distant...) {
		before := u.hits()
		took, err := load(ctx, measure.HostPort(r.gateway.URL()), reuseConnections, b.span/2, r.next)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		u.calls[r.name] = float64(u.hits()-before) / float64(len(took))
	}
	on := u.distant[1]
	for round := range b.rounds {
		before := u.hits()
		request := measure.TokenRequest(measure.ApplicationID(0) + fmt.Sprintf("&crowd=%d", round))
		if err := crowd(measure.HostPort(on.gateway.URL()), crowdSize, request); err != nil {
			return fmt.Errorf("%d identical first requests: %w", crowdSize, err)
		}
		u.crowd = append(u.crowd, float64(u.hits()-before))
	}
	return nil
}

// hits are the calls to the providers' token endpoint.
func (u *reusing) hits() int { return u.near.Hits("/oauth2/token") + u.far.Hits("/oauth2/token") }
