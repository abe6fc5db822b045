package measure

import (
	"fmt"
	"math"
)

// Verdict says whether a goal is met.
type Verdict struct {
	Goal       string
	got, limit float64
	least      bool   // got must be at least limit, not at most
	unit       string // after both numbers, such as " ×"
	skipped    string // why nothing was measured
}

// AtMost is a goal that is met up to limit.
func AtMost(goal string, got, limit float64, unit string) Verdict {
	return Verdict{Goal: goal, got: got, limit: limit, unit: unit}
}

// AtLeast is a goal that is met from limit on.
func AtLeast(goal string, got, limit float64, unit string) Verdict {
	return Verdict{Goal: goal, got: got, limit: limit, least: true, unit: unit}
}

// Unmeasured is a goal that this run didn't measure.
func Unmeasured(goal, why string) Verdict { return Verdict{Goal: goal, skipped: why} }

func (v Verdict) met() bool {
	if v.least {
		return v.got >= v.limit
	}
	return v.got <= v.limit // a NaN meets neither
}

// Missed reports whether the goal was measured and isn't met.
func (v Verdict) Missed() bool { return v.skipped == "" && !v.met() }

// outcome is "met", or how far the goal is missed, in percent of the limit.
func (v Verdict) outcome() string {
	switch {
	case v.skipped != "":
		return "not measured: " + v.skipped
	case v.met():
		return "met"
	case v.limit == 0:
		return "missed"
	default:
		return fmt.Sprintf("missed by %.3g %%", 100*math.Abs(v.got-v.limit)/v.limit)
	}
}

func (v Verdict) bound() string {
	word := "at most"
	if v.least {
		word = "at least"
	}
	return fmt.Sprintf("%s %s%s", word, figure(v.limit), v.unit)
}

func (v Verdict) String() string {
	if v.skipped != "" {
		return fmt.Sprintf("%s: %s", v.Goal, v.outcome())
	}
	return fmt.Sprintf("%s: %s%s, %s: %s", v.Goal, figure(v.got), v.unit, v.bound(), v.outcome())
}

// figure writes large and whole numbers without decimals.
func figure(x float64) string {
	if math.Abs(x) >= 100 || x == math.Trunc(x) {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2f", x)
}
