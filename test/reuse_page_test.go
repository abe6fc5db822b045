package test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/schema"
)

const reusePage = "docs/reuse.md"

// TestReusePageMoney: the page's arithmetic is right, and the README has its result.
func TestReusePageMoney(t *testing.T) {
	const price = 2.25 // for 1,000 calls
	page := read(t, reusePage)
	rows := regexp.MustCompile(`(?m)^\| .* \| ([\d,× /]+) = ([\d,]+) \| \$([\d,.]+) \|$`).FindAllStringSubmatch(page, -1)
	if len(rows) < 4 {
		t.Fatalf("got %d rows with arithmetic, want 4", len(rows))
	}
	for _, row := range rows {
		calls := calculate(t, row[1])
		expect(t, row[1], plain(row[2]), fmt.Sprint(calls))
		expect(t, "$ for "+row[2], plain(row[3]), fmt.Sprintf("%.2f", float64(calls)/1000*price))
	}
	contains(t, reusePage, page, "$2.25")
	contains(t, "README.md", read(t, "README.md"), "8.64 million", "$2.25", "$19,440", "28,800", "$65")
}

func plain(number string) string { return strings.ReplaceAll(number, ",", "") }

// calculate returns the value of numbers with × and / between them.
func calculate(t *testing.T, term string) int {
	t.Helper()
	value, operation := 1, "×"
	for i, word := range strings.Fields(plain(term)) {
		if i%2 == 1 {
			operation = word
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatalf("%s: %v", term, err)
		}
		if operation == "×" {
			value *= n
		} else {
			value /= n
		}
	}
	return value
}

// TestReusePageConfigurations: the configurations on the page are valid, and turn
// reuse on.
func TestReusePageConfigurations(t *testing.T) {
	blocks := strings.Split(read(t, reusePage), "\n```yaml\n")[1:]
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "\n```")
		given := map[string]any{
			"issuer": "https://example.kinde.com", "signing": map[string]any{"jwks_file": "/keys.json"}, "redis": map[string]any{"host": "redis"},
			"claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}},
		}
		if err := yaml.Unmarshal([]byte(text), &given); err != nil {
			t.Fatal(err)
		}
		cfg, err := schema.Parse(given)
		if err != nil || !cfg.Reuse.Enabled {
			t.Errorf("block %d: %v; want a valid configuration that turns reuse on", i, err)
		}
	}
	if len(blocks) != 3 {
		t.Errorf("the page has %d configurations, want 3", len(blocks))
	}
}

// TestReusePageFields: the page names each field of reuse that changes what is given
// again, and no field that doesn't exist.
func TestReusePageFields(t *testing.T) {
	page := read(t, reusePage)
	for _, f := range dumped(t).Fields {
		if f.Name != "reuse" {
			continue
		}
		for _, sub := range f.Fields {
			if sub.Name == "max_entries" || sub.Name == "max_bytes" {
				continue // of docs/configuration.md
			}
			contains(t, reusePage, page, sub.Name)
		}
	}
}

// TestReusePageCauses: the causes on the page for which an answer isn't reused are
// those in the code.
func TestReusePageCauses(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, reusePage), "\n| cause | what it means |\n|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	all := slices.Concat(causesIn(t, "plugin/enrich/*.go"), causesIn(t, "plugin/gateway/reuse.go"), causesIn(t, "plugin/gateway/diagnose/reuse.go"))
	var shown []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(.*?)` \\|").FindAllStringSubmatch(table, -1) {
		shown = append(shown, m[1])
		if !slices.Contains(all, m[1]) {
			t.Errorf("no code has the cause %q", m[1])
		}
	}
	for _, cause := range causesIn(t, "plugin/enrich/reusable.go") {
		if !slices.Contains(shown, cause) {
			t.Errorf("%s doesn't have the cause %q", reusePage, cause)
		}
	}
}

// causesIn returns the texts of the errors that the files make, with … for what is
// filled in.
func causesIn(t *testing.T, pattern string) (causes []string) {
	t.Helper()
	files, err := filepath.Glob("../" + pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v; want files", pattern, err)
	}
	for _, file := range files {
		text := read(t, strings.TrimPrefix(file, "../"))
		for _, m := range regexp.MustCompile(`(?:errors\.New|fmt\.Errorf)\("([^"]*)"`).FindAllStringSubmatch(text, -1) {
			causes = append(causes, regexp.MustCompile(`%\w`).ReplaceAllString(m[1], "…"))
		}
	}
	return causes
}
