package enrich

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of docs/outcomes.md")

// table is what docs/outcomes.md shows of the rules.
func table() string {
	var rows strings.Builder
	rows.WriteString("| outcome | when | status | error | policy | at fault | what to do |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rules {
		status, code := "", ""
		if r.status != 0 {
			status = fmt.Sprint(r.status)
		}
		if r.code != "" {
			code = "`" + r.code + "`"
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s | %s | %s | %s |\n", r.outcome, r.when, status, code, r.policy, r.fault, r.advice)
	}
	return rows.String()
}

// TestOutcomesPage: the page's table is that of the rules.
func TestOutcomesPage(t *testing.T) {
	const path = "../../docs/outcomes.md"
	page, err := os.ReadFile(path)
	must(t, err)
	shown := regexp.MustCompile(`(?m)^\| outcome \|.*\n(\|.*\n)+`)
	want := shown.ReplaceAllLiteralString(string(page), table())
	if *update {
		must(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	if string(page) != want {
		t.Errorf("%s shows other rows than those of the rules; go test ./plugin/enrich -run OutcomesPage -update rewrites them", path)
	}
	for row := range strings.Lines(table()) {
		if !strings.Contains(string(page), row) {
			t.Errorf("missing: %s", row)
		}
	}
}

// TestOutcomesAskedFor: alerts and the dashboard ask for outcomes that exist. A
// list of several is that of the outcomes for which the gateway is at fault, or of
// those with an enriched token.
func TestOutcomesAskedFor(t *testing.T) {
	var gateway, enriched []string
	for _, r := range rules {
		if r.outcome.GatewayFails() {
			gateway = append(gateway, string(r.outcome))
		}
		if r.policy == replace {
			enriched = append(enriched, string(r.outcome))
		}
	}
	slices.Sort(gateway)
	slices.Sort(enriched)
	asked := regexp.MustCompile(`outcome(?:=|!=|=~|!~)\\?"([a-z_|]+)\\?"`)
	for _, path := range []string{"deploy/alerts.yaml", "deploy/grafana.json", "test/e2e/testdata/alerts.test.yaml"} {
		text, err := os.ReadFile("../../" + path)
		must(t, err)
		found := asked.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s asks for no outcome", path)
		}
		for _, m := range found {
			outcomes := strings.Split(m[1], "|")
			slices.Sort(outcomes)
			if len(outcomes) > 1 && !slices.Equal(outcomes, gateway) && !slices.Equal(outcomes, enriched) {
				t.Errorf("%s asks for %v, want %v or %v", path, outcomes, gateway, enriched)
			}
			if !slices.ContainsFunc(rules, func(r rule) bool { return string(r.outcome) == outcomes[0] }) {
				t.Errorf("%s asks for %s, which is no outcome", path, outcomes[0])
			}
		}
	}
}
