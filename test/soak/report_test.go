package main

import (
	"testing"
	"time"
)

// TestFlat: growth within the last minutes must show, and that before not.
func TestFlat(t *testing.T) {
	grown := func(span time.Duration, resident func(at float64) float64) report {
		r := report{soak: &soak{options: options{span: span}}}
		for at := 1.0; at < span.Seconds(); at++ {
			r.samples = append(r.samples, sample{at: at, resident: resident(at)})
		}
		return r
	}
	warm := func(at float64) float64 { return min(50, 20+at) }
	leaking := func(at float64) float64 { return 50 + at/20 }
	for _, tt := range []struct {
		name   string
		report report
		missed bool
	}{
		{"warms up", grown(10*time.Minute, warm), false},
		{"leaks", grown(10*time.Minute, leaking), true},
		{"too short to tell", grown(time.Minute, leaking), false},
		{"no sample", report{soak: &soak{options: options{span: 10 * time.Minute}}}, true},
	} {
		if v := tt.report.flat("RSS", resident, 0, " MiB"); v.Missed() != tt.missed {
			t.Errorf("%s: got %v, want it missed: %t", tt.name, v, tt.missed)
		}
	}
}
