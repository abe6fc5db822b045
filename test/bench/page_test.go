package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"m2m-token-enricher/test/measure"
)

func TestRewritePage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	const page = "by hand\n\n<!-- bench: a -->\nold\n<!-- /bench -->\n\nbetween\n\n<!-- bench: b -->\n<!-- /bench -->\nend\n"
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := rewritePage(path, map[string]string{"a": "new", "b": "| x |", "c": "not on the page"}); err != nil {
			t.Fatal(err)
		}
	}
	const want = "by hand\n\n<!-- bench: a -->\nnew\n<!-- /bench -->\n\nbetween\n\n<!-- bench: b -->\n| x |\n<!-- /bench -->\nend\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestRewriteSectionRefuses(t *testing.T) {
	for name, page := range map[string]string{
		"another's end": "<!-- bench: a -->\nold\n<!-- bench: b -->\n<!-- /bench -->\n",
		"no end":        "<!-- bench: a -->\nold",
	} {
		if got, err := rewriteSection(page, "a", "new"); err == nil || got != page {
			t.Errorf("%s: got %q, %v, want the page and an error", name, got, err)
		}
	}
}

// TestPageHasKnownSections: the bench writes every section of the page.
func TestPageHasKnownSections(t *testing.T) {
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"machine"}
	for _, part := range parts {
		names = append(names, part.name)
	}
	markers := regexp.MustCompile("<!-- bench: (.+) -->").FindAllStringSubmatch(string(page), -1)
	if len(markers) < 4 {
		t.Errorf("the page has %d sections, want at least 4", len(markers))
	}
	for _, m := range markers {
		if _, err := rewriteSection(string(page), m[1], "new"); err != nil || !slices.Contains(names, m[1]) {
			t.Errorf("section %q: %v; the bench writes %v", m[1], err, names)
		}
	}
}

func TestTable(t *testing.T) {
	got := measure.Table([][]string{{"what", "-time"}, {"a", "1"}, {"b", "2"}})
	if want := "| what | time |\n|---|--:|\n| a | 1 |\n| b | 2 |"; got != want {
		t.Errorf("Table = %q, want %q", got, want)
	}
}
