package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/measure"
)

// The routes of the end-to-end part.
const (
	bare        = "without the plugin"
	es256       = "enriched, ES256"
	rs256       = "enriched, RS256"
	management  = "management, untouched"
	jwks        = "JWK set"
	es256Before = "enriched, ES256, before"
)

// endToEndConnections are the numbers of clients that ask at once.
var endToEndConnections = []int{1, 8, 64, 256}

// goalConnections is the number of clients in the goals.
const goalConnections = 64

func measureEndToEnd(ctx context.Context, b *bench) (r report, err error) {
	s := &stand{bench: b}
	defer func() { err = errors.Join(err, s.closers.Close()) }()
	routes, err := s.endToEndRoutes(ctx)
	if err != nil {
		return report{}, err
	}
	noBaseline, err := s.addBaseline(ctx, &routes)
	if err != nil {
		return report{}, err
	}
	all, err := b.interleave(ctx, routes.list, endToEndConnections)
	if err != nil {
		return report{}, err
	}
	return report{
		sections: map[string]string{"end-to-end": endToEndTable(routes.list, all)},
		verdicts: endToEndVerdicts(all, noBaseline),
	}, nil
}

// endToEnd has the routes, and the provider and the records that they share.
type endToEnd struct {
	provider *measure.Provider
	records  *measure.Records
	list     []route
}

func (s *stand) endToEndRoutes(ctx context.Context) (e endToEnd, err error) {
	id := measure.ApplicationID(0)
	if e.provider, err = s.provider("RS256", []string{id}); err != nil {
		return e, err
	}
	if e.records, err = s.records(ctx, 1, 0); err != nil {
		return e, err
	}
	var signers []*kongtest.StandIn
	for _, signer := range []struct{ name, binary, key string }{{bare, "", ""}, {es256, s.bench.binary, "ec"}, {rs256, s.bench.binary, "rsa"}} {
		g, err := s.gateway(ctx, setting{binary: signer.binary, key: signer.key, provider: e.provider, records: e.records})
		if err != nil {
			return e, fmt.Errorf("%s: %w", signer.name, err)
		}
		signers = append(signers, g)
		if err := e.add(route{signer.name, g, always(measure.TokenRequest(id))}, id, signer.binary != ""); err != nil {
			return e, err
		}
	}
	// These use the process of the ES256 route, which is idle meanwhile.
	if err := e.add(route{management, signers[1], always(measure.TokenRequest(measure.ManagementClient))}, measure.ManagementClient, false); err != nil {
		return e, err
	}
	e.list = append(e.list, route{jwks, signers[1], always(measure.JWKSRequest())})
	return e, nil
}

// add adds a route once it answers as it should.
func (e *endToEnd) add(r route, id string, enriched bool) error {
	e.list = append(e.list, r)
	return r.expect(e.provider, id, enriched)
}

// addBaseline adds the baseline's route, or returns why it can't be measured.
func (s *stand) addBaseline(ctx context.Context, e *endToEnd) (missing string, err error) {
	tag := s.bench.baseline
	if tag == "" {
		return "no -baseline was given", nil
	}
	fmt.Fprintf(os.Stderr, "building: %s\n", tag)
	binary, err := s.bench.buildBaseline(ctx, tag, "")
	if errors.Is(err, errNoCommit) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	g, err := s.gateway(ctx, setting{binary: binary, key: "ec", provider: e.provider, records: e.records})
	if err != nil {
		return "", fmt.Errorf("%s: %w", es256Before, err)
	}
	id := measure.ApplicationID(0)
	return "", e.add(route{es256Before, g, always(measure.TokenRequest(id))}, id, true)
}

// endToEndTable has a line for each route except the baseline's: requests/s by
// connections, and the other figures at goalConnections.
func endToEndTable(routes []route, all results) string {
	rows := [][]string{{"route", "-1", "-8", "-64", "-256", "-p50 ms", "-p99 ms", "-plugin CPU µs", "-plugin RSS MiB"}}
	for _, r := range routes {
		if r.name == es256Before {
			continue
		}
		row := []string{r.name}
		for _, n := range endToEndConnections {
			row = append(row, fmt.Sprintf("%.0f", all.median(spot{r.name, n}, rate)))
		}
		at := spot{r.name, goalConnections}
		row = append(row, fmt.Sprintf("%.2f", all.median(at, p50)), fmt.Sprintf("%.2f", all.median(at, p99)))
		if r.name == bare {
			row = append(row, "–", "–")
		} else {
			row = append(row, fmt.Sprintf("%.0f", all.median(at, cpu)), fmt.Sprintf("%.0f", all.median(at, resident)))
		}
		rows = append(rows, row)
	}
	return measure.Table(rows)
}

func endToEndVerdicts(all results, noBaseline string) []measure.Verdict {
	const n = goalConnections
	faster := measure.Unmeasured("end to end, ES256 at 64 connections, tokens/s of the state before", noBaseline)
	if noBaseline == "" {
		faster = measure.AtLeast(faster.Goal, all.median(spot{es256, n}, rate)/all.median(spot{es256Before, n}, rate), 1.6, " ×")
	}
	return []measure.Verdict{
		faster,
		measure.AtMost("management untouched at 64 connections, plugin CPU of the ES256 route's",
			all.median(spot{management, n}, cpu)/all.median(spot{es256, n}, cpu), 0.35, " ×"),
	}
}
