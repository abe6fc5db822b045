package main

import (
	"os"
	"path/filepath"
	"strings"
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
		if err := rewritePage(path, map[string]string{"a": "new", "b": "| x |"}); err != nil {
			t.Fatal(err)
		}
	}
	const want = "by hand\n\n<!-- bench: a -->\nnew\n<!-- /bench -->\n\nbetween\n\n<!-- bench: b -->\n| x |\n<!-- /bench -->\nend\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestRewriteSectionRefuses(t *testing.T) {
	for name, page := range map[string]string{
		"no section":    "text",
		"another's end": "<!-- bench: a -->\nold\n<!-- bench: b -->\n<!-- /bench -->\n",
		"no end":        "<!-- bench: a -->\nold",
	} {
		if got, err := rewriteSection(page, "a", "new"); err == nil || got != page {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestPageHasEverySection: or a run would measure for minutes and have nowhere
// to write to.
func TestPageHasEverySection(t *testing.T) {
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"machine", "goals"}
	for _, part := range parts {
		names = append(names, part.name)
	}
	for _, name := range names {
		if _, err := rewriteSection(string(page), name, "new"); err != nil {
			t.Error(err)
		}
	}
}

func TestTable(t *testing.T) {
	got := measure.Table([][]string{{"what", "-time"}, {"a", "1"}, {"b", "2"}})
	if want := "| what | time |\n|---|--:|\n| a | 1 |\n| b | 2 |"; got != want {
		t.Errorf("%s", strings.ReplaceAll(got, "\n", "\\n"))
	}
}
