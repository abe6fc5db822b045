package main

import (
	"math"
	"testing"
)

func TestFiguresOfGoTest(t *testing.T) {
	f := figures{}
	for _, line := range []string{
		"goos: linux\n",
		"BenchmarkEnrich/ES256-2         \t   10000\t    115204 ns/op\t   12000 B/op\t     204 allocs/op\n",
		"BenchmarkEnrich/ES256-2         \t   10000\t    105204 ns/op\t   12000 B/op\t     204 allocs/op\n",
		"BenchmarkEnrich/ES256-2         \t   10000\t    125204 ns/op\t   12000 B/op\t     204 allocs/op\n",
		"BenchmarkLoop/8-2  1  10000 ns/op  21.5 ours-µs-cpu/event  2.7 rate-ratio\n",
		"BenchmarkSignWithRing/keys=20 \t 27 \t 43.3 ns/op\n",
		"PASS\n",
	} {
		if _, err := f.parse(line); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []struct {
		benchmark, unit string
		median          float64
	}{
		{"BenchmarkEnrich/ES256", "ns/op", 115204}, {"BenchmarkEnrich/ES256", "allocs/op", 204},
		{"BenchmarkLoop/8", "ours-µs-cpu/event", 21.5}, {"BenchmarkSignWithRing/keys=20", "ns/op", 43.3},
	} {
		if got := f.median(want.benchmark, want.unit); got != want.median {
			t.Errorf("median(%s, %s) = %v, want %v", want.benchmark, want.unit, got, want.median)
		}
	}
	if got := f.median("BenchmarkGone", "ns/op"); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}
