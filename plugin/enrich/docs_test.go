package enrich

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestOutcomesPage holds docs/outcomes.md against the rules.
func TestOutcomesPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/outcomes.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[Outcome]string{}
	for _, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 8 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		cell := func(i int) string { return strings.Trim(cells[i], " `") }
		shown[Outcome(cell(1))] = strings.Join([]string{cell(3), cell(4), cell(5)}, " ")
	}
	for outcome, r := range rules {
		want := map[disposition]string{
			stop: fmt.Sprintf("%d %s stop", r.status, r.code), policy: fmt.Sprintf("%d %s failure_policy", r.status, r.code), pass: "  pass",
		}[r.disposition]
		if shown[outcome] != want {
			t.Errorf("%s: the page says %q, the rules %q", outcome, shown[outcome], want)
		}
		delete(shown, outcome)
	}
	delete(shown, Enriched)
	for outcome := range shown {
		t.Errorf("%s is on the page, but no outcome", outcome)
	}
}
