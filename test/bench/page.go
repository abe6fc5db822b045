package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// rewritePage puts sections between their markers in the page at path. The
// rest of the page is written by hand and stays.
func rewritePage(path string, sections map[string]string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(page)
	var missing []error
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		rewritten, err := rewriteSection(text, name, sections[name])
		if err != nil { // the other sections are as good as ever
			missing = append(missing, fmt.Errorf("%s: %w", path, err))
			continue
		}
		text = rewritten
	}
	return errors.Join(append(missing, os.WriteFile(path, []byte(text), 0o644))...)
}

// rewriteSection replaces what is between the markers of the section called
// name.
func rewriteSection(page, name, text string) (string, error) {
	begin, end := "<!-- bench: "+name+" -->\n", "<!-- /bench -->"
	before, rest, ok := strings.Cut(page, begin)
	if !ok {
		return page, fmt.Errorf("it has no line %q", strings.TrimSpace(begin))
	}
	old, after, ok := strings.Cut(rest, end)
	if !ok || strings.Contains(old, "<!-- bench: ") {
		return page, fmt.Errorf("its section %q has no end %q", name, end)
	}
	return before + begin + text + "\n" + end + after, nil
}
