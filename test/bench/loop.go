package main

import (
	"context"
	"fmt"
	"time"

	"m2m-token-enricher/test/measure"
)

// loopConnections are the numbers of connections in the benchmark.
var loopConnections = []int{1, 8}

// measureLoop compares the server with go-pdk's. The benchmark has its own rounds
// and its own time.
func measureLoop(ctx context.Context, b *bench) (report, error) {
	f := figures{}
	if err := f.goBench(ctx, "^BenchmarkLoop$", time.Millisecond, "", "./plugin/pdk"); err != nil {
		return report{}, err
	}
	rows := [][]string{{"connections", "server", "-events/s", "-CPU per event", "-p50"}}
	for _, n := range loopConnections {
		name := loopName(n)
		for _, server := range []string{"ours", "go-pdk"} {
			rows = append(rows, []string{
				fmt.Sprint(n), server, fmt.Sprintf("%.0f", f.median(name, server+"-events/s")),
				fmt.Sprintf("%.0f µs", f.median(name, server+"-µs-cpu/event")), fmt.Sprintf("%.0f µs", f.median(name, server+"-µs-p50")),
			})
		}
		rows = append(rows, []string{
			fmt.Sprint(n), "ratio", fmt.Sprintf("%.2f", f.median(name, "rate-ratio")),
			fmt.Sprintf("%.2f", f.median(name, "cpu-ratio")), fmt.Sprintf("%.2f", f.median(name, "p50-ratio")),
		})
	}
	return report{
		sections: map[string]string{"loop": measure.Table(rows)},
		verdicts: []measure.Verdict{
			measure.AtLeast("loop, events/s at 8 connections, of go-pdk's", f.median(loopName(8), "rate-ratio"), 2, " ×"),
			measure.AtMost("loop, CPU per event at 8 connections, of go-pdk's", f.median(loopName(8), "cpu-ratio"), 0.5, " ×"),
			measure.AtMost("loop, p50 at 1 connection, of go-pdk's", f.median(loopName(1), "p50-ratio"), 0.7, " ×"),
		},
	}, nil
}

func loopName(connections int) string { return fmt.Sprintf("BenchmarkLoop/%d", connections) }
