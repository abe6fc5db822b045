package main

import (
	"fmt"
	"math"
)

// verdict is whether a goal is met.
type verdict struct {
	goal       string
	got, limit float64
	least      bool   // got must be at least limit, not at most
	unit       string // after both numbers, such as " ×"
	skipped    string // why nothing was measured
}

func atMost(goal string, got, limit float64, unit string) verdict {
	return verdict{goal: goal, got: got, limit: limit, unit: unit}
}

func atLeast(goal string, got, limit float64, unit string) verdict {
	return verdict{goal: goal, got: got, limit: limit, least: true, unit: unit}
}

// unmeasured is a goal that this run says nothing about.
func unmeasured(goal, why string) verdict { return verdict{goal: goal, skipped: why} }

func (v verdict) met() bool {
	if v.least {
		return v.got >= v.limit
	}
	return v.got <= v.limit // neither holds for a NaN
}

// outcome is "met", or by how much of the limit the goal is missed.
func (v verdict) outcome() string {
	switch {
	case v.skipped != "":
		return "not measured: " + v.skipped
	case v.met():
		return "met"
	default:
		return fmt.Sprintf("missed by %.3g %%", 100*math.Abs(v.got-v.limit)/v.limit)
	}
}

func (v verdict) bound() string {
	word := "at most"
	if v.least {
		word = "at least"
	}
	return fmt.Sprintf("%s %s%s", word, figure(v.limit), v.unit)
}

func (v verdict) String() string {
	if v.skipped != "" {
		return fmt.Sprintf("%s: %s", v.goal, v.outcome())
	}
	return fmt.Sprintf("%s: %s%s, %s: %s", v.goal, figure(v.got), v.unit, v.bound(), v.outcome())
}

func goalTable(verdicts []verdict) string {
	rows := [][]string{{"goal", "-measured", "-limit", "verdict"}}
	for _, v := range verdicts {
		if v.skipped != "" {
			rows = append(rows, []string{v.goal, "–", "–", v.outcome()})
			continue
		}
		rows = append(rows, []string{v.goal, figure(v.got) + v.unit, v.bound(), v.outcome()})
	}
	return table(rows)
}

// figure writes what doesn't count for a single digit.
func figure(x float64) string {
	if math.Abs(x) >= 100 || x == math.Trunc(x) {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2f", x)
}
