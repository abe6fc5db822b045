package main

import (
	"context"
	"fmt"
	"path/filepath"

	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/measure"
)

// questionConnections are the numbers of clients for which CPU time is measured.
var questionConnections = []int{1, 8, 64}

// callConnections is the number of clients for which system calls are counted.
const callConnections = 8

// spent is what one state of the plugin spends on a token.
type spent struct {
	name             string
	binary           string
	plain, inspected route // the same; the memory of inspected is known
	metrics          string

	traffic kongtest.Traffic
	tokens  float64              // of traffic
	figures map[string][]float64 // by the name of a row
}

// start starts the gateways, and counts the traffic of some tokens.
func (t *spent) start(ctx context.Context, s *stand, p *measure.Provider, records *measure.Records) error {
	t.figures, t.metrics = map[string][]float64{}, filepath.Join(s.bench.dir, "metrics-"+t.name)
	id := measure.ApplicationID(0)
	for to, args := range map[*route][]string{&t.plain: nil, &t.inspected: {"-metrics", t.metrics}} {
		g, err := s.gateway(ctx, setting{binary: t.binary, key: "ec", provider: p, records: records, args: args})
		if err != nil {
			return err
		}
		*to = route{t.name, g, always(measure.TokenRequest(id))}
		for range 2 { // every worker starts its instance with its first request
			if err := to.expect(p, id, true); err != nil {
				return err
			}
		}
	}
	before := t.plain.gateway.Traffic()
	const tokens = 20
	for range tokens {
		if err := t.plain.expect(p, id, true); err != nil {
			return err
		}
	}
	t.traffic, t.tokens = since(before, t.plain.gateway.Traffic()), tokens
	return nil
}

// since is what went after before.
func since(before, after kongtest.Traffic) kongtest.Traffic {
	for name, n := range before.Questions {
		after.Questions[name] -= n
	}
	after.FromPlugin.Frames -= before.FromPlugin.Frames
	after.FromPlugin.Bytes -= before.FromPlugin.Bytes
	after.ToPlugin.Frames -= before.ToPlugin.Frames
	after.ToPlugin.Bytes -= before.ToPlugin.Bytes
	after.Connections -= before.Connections
	return after
}

// The rows of figures that are measured in rounds.
const (
	systemCalls  = "system calls"
	reads        = "system calls that read"
	writes       = "system calls that write"
	switches     = "context switches"
	allocations  = "allocations"
	allocated    = "KiB allocated"
	collections  = "garbage collections for 1,000 tokens"
	residentSize = "plugin RSS MiB"
)

func cpuRow(connections int) string {
	return fmt.Sprintf("plugin CPU µs, clients: %d", connections)
}

// measure measures one round.
func (t *spent) measure(ctx context.Context, b *bench) error {
	for _, n := range questionConnections {
		if err := t.activity(ctx, b, n); err != nil {
			return fmt.Errorf("%s at %d connections: %w", t.name, n, err)
		}
	}
	if err := t.calls(ctx, b); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return t.heap(ctx, b)
}

func (t *spent) add(row string, value float64) { t.figures[row] = append(t.figures[row], value) }

// activity measures what the kernel counts at no cost.
func (t *spent) activity(ctx context.Context, b *bench, n int) error {
	pid := t.plain.gateway.PluginPID()
	if _, err := load(ctx, measure.HostPort(t.plain.gateway.URL()), n, b.span/4, t.plain.next); err != nil {
		return err
	}
	before, err := measure.ActivityOf(pid)
	if err != nil {
		return err
	}
	took, err := load(ctx, measure.HostPort(t.plain.gateway.URL()), n, b.span, t.plain.next)
	if err != nil {
		return err
	}
	after, err := measure.ActivityOf(pid)
	if err != nil {
		return err
	}
	tokens := float64(len(took))
	t.add(cpuRow(n), float64((after.CPU-before.CPU).Nanoseconds())/1000/tokens)
	if n != callConnections {
		return nil
	}
	t.add(reads, (after.Reads-before.Reads)/tokens)
	t.add(writes, (after.Writes-before.Writes)/tokens)
	t.add(switches, (after.Switches-before.Switches)/tokens)
	size, err := measure.ResidentSize(pid)
	t.add(residentSize, size)
	return err
}

// calls counts system calls, unless perf isn't there or may not count.
func (t *spent) calls(ctx context.Context, b *bench) error {
	tokens := 0
	calls, err := measure.SystemCalls(ctx, t.plain.gateway.PluginPID(), func() error {
		took, err := load(ctx, measure.HostPort(t.plain.gateway.URL()), callConnections, b.span/2, t.plain.next)
		tokens = len(took)
		return err
	})
	if tokens == 0 { // perf ended first
		return nil
	}
	t.add(systemCalls, calls/float64(tokens))
	return err
}

// heap counts what the heap does.
func (t *spent) heap(ctx context.Context, b *bench) error {
	names := []string{"go_memstats_mallocs_total", "go_memstats_alloc_bytes_total", "go_gc_duration_seconds_count"}
	before, err := measure.Scrape(ctx, t.metrics, names...)
	if err != nil {
		return err
	}
	took, err := load(ctx, measure.HostPort(t.inspected.gateway.URL()), callConnections, b.span/2, t.inspected.next)
	if err != nil {
		return err
	}
	after, err := measure.Scrape(ctx, t.metrics, names...)
	if err != nil {
		return err
	}
	tokens := float64(len(took))
	t.add(allocations, (after[0]-before[0])/tokens)
	t.add(allocated, (after[1]-before[1])/tokens/1024)
	t.add(collections, (after[2]-before[2])/tokens*1000)
	return nil
}
