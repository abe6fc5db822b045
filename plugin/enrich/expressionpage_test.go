package enrich

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// TestExpressionsOnThePage: the expressions in docs/configuration.md give what the
// page says for its records.
func TestExpressionsOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	must(t, err)
	_, section, _ := strings.Cut(string(page), "\n## Expressions\n")
	blocks := regexp.MustCompile("(?s)```(text|yaml)\n(.*?)```").FindAllStringSubmatch(section, 2)
	if len(blocks) != 2 {
		t.Fatalf("got %d blocks, want the records and the claims", len(blocks))
	}
	f := newFixture(t)
	records := map[string]schema.Record{}
	for line := range strings.Lines(blocks[0][2]) {
		source, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		kind, name := schema.Source(source)
		if records[string(kind)] == nil {
			records[string(kind)] = schema.Record{}
		}
		records[string(kind)][name] = value
	}
	records["application"]["org_code"] = "org_1"
	f.records = memory{"app:" + testClient: records["application"], "org:org_1": records["organization"]}
	var given map[string]any
	must(t, yaml.Unmarshal([]byte(blocks[1][2]), &given))
	f.set("", "claims", given["claims"])
	issued, err := splice.Parse([]byte(f.enriched()))
	must(t, err)
	results := regexp.MustCompile(`(?m)^- name: (\w+) +# (.*)$`).FindAllStringSubmatch(blocks[1][2], -1)
	if len(results) < 5 {
		t.Errorf("got %d results on the page, want at least five", len(results))
	}
	for _, m := range results {
		if got := string(issued.Get(m[1])); got != m[2] {
			t.Errorf("%s: got %s, want %s", m[1], got, m[2])
		}
	}
	records["organization"]["plan"] = "bronze"
	if got, want := f.enriched(), `"rate_limit":5`; !strings.Contains(got, want) {
		t.Errorf("another plan: got %s, want %s", got, want)
	}
}
