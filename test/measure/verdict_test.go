package measure

import (
	"math"
	"testing"
)

func TestVerdicts(t *testing.T) {
	for want, v := range map[string]Verdict{
		"a: 1.25 ×, at most 1.30 ×: met":              AtMost("a", 1.25, 1.3, " ×"),
		"a: 1.30 ×, at most 1.30 ×: met":              AtMost("a", 1.3, 1.3, " ×"),
		"a: 90, at most 60: missed by 50 %":           AtMost("a", 90, 60, ""),
		"a: 1.60 ×, at least 2 ×: missed by 20 %":     AtLeast("a", 1.6, 2, " ×"),
		"a: 2.10 ×, at least 2 ×: met":                AtLeast("a", 2.1, 2, " ×"),
		"a: not measured: no tag":                     Unmeasured("a", "no tag"),
		"a: NaN ×, at most 1.30 ×: missed by NaN %":   AtMost("a", math.NaN(), 1.3, " ×"),
		"a: 63.48 MiB, at most 64 MiB: met":           AtMost("a", 63.48, 64, " MiB"),
		"a: 0.40 ×, at most 0.35 ×: missed by 14.3 %": AtMost("a", 0.4, 0.35, " ×"),
	} {
		if got := v.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
