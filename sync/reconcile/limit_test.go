package reconcile

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseLimit(t *testing.T) {
	for text, want := range map[string]string{ // empty: an error
		"0": "0", "1": "1", "20": "20", "007": "7", "0%": "0", "10%": "10%", "0.5%": "0.5%", "100%": "100%",
		"": "", "%": "", " 10%": "", "10 %": "", "10% ": "", "-1": "", "-1%": "", "100.1%": "", "1e3%": "", "NaN%": "", "nan%": "",
		"Inf%": "", "-Inf%": "", "10%%": "", "ten": "", "1.5": "", "1,5%": "", "99999999999999999999": "", "10percent": "",
	} {
		got, err := ParseLimit(text)
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", text))):
			t.Errorf("%q: got %v, %v", text, got, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestLimitAllows(t *testing.T) {
	for _, c := range []struct {
		limit string
		of    int
		most  int
	}{
		{"0", 100, 0}, {"0%", 100, 0}, {"1", 100, 1}, {"20", 10, 10}, {"20", 100, 20},
		{"10%", 0, 0}, {"10%", 9, 0}, {"10%", 10, 1}, {"10%", 11, 1}, {"10%", 19, 1}, {"10%", 20, 2}, {"10%", 1_000_000, 100_000},
		{"100%", 1, 1}, {"100%", 7, 7}, {"99.9%", 1000, 999}, {"0.1%", 999, 0}, {"0.1%", 1000, 1}, {"33.3%", 1000, 333},
	} {
		l, err := ParseLimit(c.limit)
		if err != nil {
			t.Fatal(err)
		}
		for n := range c.of + 1 {
			if got := l.allows(n, c.of); got != (n <= c.most) {
				t.Errorf("%s of %d: allows(%d) is %v", c.limit, c.of, n, got)
				break
			}
		}
	}
	if !Unlimited.allows(5, 5) || Unlimited.String() != "100%" {
		t.Error("Unlimited is a limit")
	}
	if (Limit{}).allows(1, 100) || !(Limit{}).allows(0, 100) {
		t.Error("the zero value isn't none")
	}
}

// TestLimitOfHundredths: a share allows what it is, to the last record.
func TestLimitOfHundredths(t *testing.T) {
	for hundredths := range 10001 {
		l, err := ParseLimit(fmt.Sprintf("%d.%02d%%", hundredths/100, hundredths%100))
		if err != nil {
			t.Fatal(err)
		}
		for _, of := range []int{10, 1000, 10000, 70000} {
			if most := hundredths * of / 10000; !l.allows(most, of) || l.allows(most+1, of) {
				t.Errorf("%v of %d: not just %d", l, of, most)
			}
		}
	}
}
