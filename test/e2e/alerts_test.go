package e2e

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	alertRules = "../../deploy/alerts.yaml"
	// alertCases has made-up series, and the alerts that they raise.
	alertCases = "testdata/alerts.test.yaml"
)

// caseFile is the part of alertCases that the tests read.
type caseFile struct {
	Tests []struct {
		InputSeries []struct{ Series string } `json:"input_series"`
		Queries     []struct {
			Samples []struct{ Labels string } `json:"exp_samples"`
		} `json:"promql_expr_test"`
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestAlertRules: each alert is raised by its own cause only.
func TestAlertRules(t *testing.T) {
	var rules struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	var cases caseFile
	readYAML(t, alertRules, &rules)
	readYAML(t, alertCases, &cases)
	var raised []string
	for _, c := range cases.Tests {
		for _, q := range c.Queries {
			for _, s := range q.Samples {
				raised = append(raised, s.Labels)
			}
		}
	}
	for _, rule := range rules.Groups[0].Rules {
		fires := func(labels string) bool {
			return strings.Contains(labels, `alertname="`+rule.Alert+`",alertstate="firing"`)
		}
		if !slices.ContainsFunc(raised, fires) {
			t.Errorf("%s has no case in which %s fires", alertCases, rule.Alert)
		}
	}
	program(t, "promtool")
	for _, args := range [][]string{{"check", "rules", alertRules}, {"test", "rules", alertCases}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v: %s", args, err, out)
		}
	}
}

// sameSeries fails the test unless the series of alertCases have the names and
// labels of a scrape, and the label that Prometheus adds.
func sameSeries(t *testing.T, scrape string) {
	t.Helper()
	series, label := regexp.MustCompile(`(?m)^(m2m_\w+)(?:{(.*)})?`), regexp.MustCompile(`(\w+)="`)
	labels := func(text string) string {
		names := map[string]bool{}
		for _, m := range label.FindAllStringSubmatch(text, -1) {
			names[m[1]] = true
		}
		return strings.Join(slices.Sorted(maps.Keys(names)), " ")
	}
	scraped := map[string]string{}
	for _, m := range series.FindAllStringSubmatch(scrape, -1) {
		scraped[m[1]] = labels(m[2] + `,instance=""`)
	}
	var cases caseFile
	readYAML(t, alertCases, &cases)
	for _, c := range cases.Tests {
		for _, made := range c.InputSeries {
			m := series.FindStringSubmatch(made.Series)
			if m == nil || labels(m[2]) != scraped[m[1]] {
				t.Errorf("%s: %s isn't as in a scrape, with the labels %q", alertCases, made.Series, scraped[m[1]])
			}
		}
	}
}
