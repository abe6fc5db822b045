package main

import (
	"fmt"
	"math"
	"time"

	"m2m-token-enricher/test/measure"
)

const (
	// warm is the time until the caches and the heap have their final size.
	warm = time.Minute
	// window is the time over which a median is taken: three reloads, and each
	// replaces a pool of connections.
	window = time.Minute
	// shortest is the shortest soak in which growth shows.
	shortest = 3 * time.Minute
	// growth is the factor by which the process may grow after warm. slack is the
	// number of files or goroutines that are noise.
	growth, slack = 1.10, 8
)

// report is the result of a soak.
type report struct {
	*soak
	samples []sample
	audited trail
}

// between is the median of a value from one time to another.
func (r report) between(from, to time.Duration, of func(sample) float64) float64 {
	var values []float64
	for _, one := range r.samples {
		if one.at >= from.Seconds() && one.at < to.Seconds() {
			values = append(values, of(one))
		}
	}
	return measure.Median(values)
}

// early is the value once the process was warm, or, in a short soak, after a
// third of the time.
func (r report) early(of func(sample) float64) float64 {
	from := min(warm, r.span/3)
	return r.between(from, from+min(window, r.span/6), of)
}

func (r report) late(of func(sample) float64) float64 {
	return r.between(r.span-min(window, r.span/6), r.span+time.Second, of)
}

func resident(s sample) float64   { return s.resident }
func files(s sample) float64      { return s.files }
func goroutines(s sample) float64 { return s.goroutines }

func (r report) table() string {
	count := func(n int64) string { return fmt.Sprint(n) }
	rows := [][]string{
		{"what", "-" + r.span.String()},
		{fmt.Sprintf("requests, of %d clients at once", r.connections), count(r.tally.requests.Load())},
		{"requests/s", fmt.Sprintf("%.0f", float64(r.tally.requests.Load())/r.span.Seconds())},
		{"wrong answers", count(r.tally.wrong.Load())},
		{"refusals while Redis was down", count(r.tally.refused.Load())},
		{"enriched tokens, and those in the audit log", count(r.tally.tokens.Load()) + ", " + count(r.audited.tokens)},
		{"reused tokens in the audit log", count(r.audited.reused)},
		{"reloads of the configuration", count(r.changes.reloads.Load())},
		{"rotations of the keys", count(r.changes.rotations.Load())},
		{"restarts of Redis", count(r.changes.restarts.Load())},
	}
	for _, row := range []struct {
		name, format string
		of           func(sample) float64
	}{{"RSS, MiB", "%.1f", resident}, {"file descriptors", "%.0f", files}, {"goroutines", "%.0f", goroutines}} {
		figures := fmt.Sprintf(row.format+" → "+row.format, r.early(row.of), r.late(row.of))
		rows = append(rows, []string{row.name + ", " + min(warm, r.span/3).Round(time.Second).String() + " → end", figures})
	}
	return measure.Table(rows)
}

// course has the medians of every whole window.
func (r report) course() string {
	rows := [][]string{{"from", "-RSS, MiB", "-file descriptors", "-goroutines"}}
	for from := time.Duration(0); from+window <= r.span; from += window {
		median := func(of func(sample) float64) float64 { return r.between(from, from+window, of) }
		rows = append(rows, []string{from.String(), fmt.Sprintf("%.1f", median(resident)), fmt.Sprintf("%.0f", median(files)), fmt.Sprintf("%.0f", median(goroutines))})
	}
	return measure.Table(rows)
}

func (r report) verdicts() []measure.Verdict {
	once := func(what string, n int64) measure.Verdict { return measure.AtLeast(what, float64(n), 1, "") }
	return []measure.Verdict{
		measure.AtMost("wrong answers", float64(r.tally.wrong.Load()), 0, ""),
		measure.AtMost("enriched tokens that the audit log has more or less", math.Abs(float64(r.tally.tokens.Load()-r.audited.tokens)), 0, ""),
		once("reused tokens", r.audited.reused),
		once("reloads of the configuration", r.changes.reloads.Load()),
		once("rotations of the keys", r.changes.rotations.Load()),
		once("restarts of Redis", r.changes.restarts.Load()),
		r.flat("RSS at the end", resident, 0, " MiB"),
		r.flat("file descriptors at the end", files, slack, ""),
		r.flat("goroutines at the end", goroutines, slack, ""),
	}
}

// flat is the goal that a value doesn't grow.
func (r report) flat(goal string, of func(sample) float64, slack float64, unit string) measure.Verdict {
	if r.span < shortest {
		return measure.Unmeasured(goal, fmt.Sprintf("growth shows only in %v or more", shortest))
	}
	early := r.early(of)
	return measure.AtMost(goal, r.late(of), max(early*growth, early+slack), unit)
}
