package main

import (
	"fmt"
	"slices"

	"m2m-token-enricher/test/measure"
)

func (u *reusing) table(all results) string {
	rows := [][]string{{"request", "-calls to the provider", "-tokens/s", "-p50 ms", "-p99 ms", "-plugin CPU µs", "-plugin RSS MiB"}}
	for _, r := range append(u.routes, u.distant...) {
		at := spot{r.name, reuseConnections}
		rows = append(rows, []string{
			r.name, fmt.Sprintf("%.2f", u.calls[r.name]), fmt.Sprintf("%.0f", all.median(at, rate)),
			fmt.Sprintf("%.2f", all.median(at, p50)), fmt.Sprintf("%.2f", all.median(at, p99)),
			fmt.Sprintf("%.0f", all.median(at, cpu)), fmt.Sprintf("%.0f", all.median(at, resident)),
		})
	}
	return measure.Table(rows)
}

// crowded says what a crowd cost.
func (u *reusing) crowded() string {
	return fmt.Sprintf("%d identical first requests at once: %.0f call to the provider.", crowdSize, slices.Max(u.crowd))
}

func (u *reusing) verdicts(all results) []measure.Verdict {
	ratio := func(route, of string, value func(sample) float64) float64 {
		return all.ratio(route, of, reuseConnections, value)
	}
	return []measure.Verdict{
		measure.AtMost("reuse, provider of 80 ms, p50 of a repeat", all.median(spot{distantOn, reuseConnections}, p50), 2, " ms"),
		measure.AtMost(fmt.Sprintf("reuse, calls to the provider for %d identical first requests at once", crowdSize), slices.Max(u.crowd), 1, ""),
		measure.AtMost("reuse, a repeat, plugin CPU of an enriched token's", ratio(againOn, againOff, cpu), 0.5, " ×"),
		measure.AtLeast("reuse, a repeat, requests/s of enriched tokens", ratio(againOn, againOff, rate), 2, " ×"),
		measure.AtMost("reuse, a first request, plugin CPU of one without reuse", ratio(firstOn, firstOff, cpu), 1.05, " ×"),
		measure.AtMost("reuse, a first request, p50 of one without reuse", ratio(firstOn, firstOff, p50), 1.05, " ×"),
		measure.AtMost("reuse, a first request, provider of 80 ms, p50 of one without reuse", ratio(farOn, farOff, p50), 1.05, " ×"),
	}
}
