package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// rewritePage puts sections between their markers in the page at path, which
// needs no marker for each. The rest of the page is written by hand.
func rewritePage(path string, sections map[string]string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(page)
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		if text, err = rewriteSection(text, name, sections[name]); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// rewriteSection replaces the text between the markers of the section called
// name, if the page has that section.
func rewriteSection(page, name, text string) (string, error) {
	begin, end := "<!-- bench: "+name+" -->\n", "<!-- /bench -->"
	before, rest, ok := strings.Cut(page, begin)
	if !ok {
		return page, nil
	}
	old, after, ok := strings.Cut(rest, end)
	if !ok || strings.Contains(old, "<!-- bench: ") {
		return page, fmt.Errorf("its section %q has no end %q", name, end)
	}
	return before + begin + text + "\n" + end + after, nil
}
