package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// papers are the pages that name files, packages, tests and make targets.
var papers = []string{"docs/development.md", "SECURITY.md"}

var (
	namedTest    = regexp.MustCompile("`(?:([a-z0-9./-]+)\\.)?((?:Test|Fuzz)[A-Z]\\w*)`")
	namedPath    = regexp.MustCompile(`(?:^|[\s` + "`" + `("(])((?:cmd|plugin|cache|records|sync|schema|test|docs|\.ci)/[\w./-]*\w)`)
	namedPackage = regexp.MustCompile("`(plugin|cache|records|sync|schema|test)`")
	namedTarget  = regexp.MustCompile("`make((?: [a-z][a-z0-9-]*)+)`")
)

// testsByPackage returns the tests of each folder, and those of all under "".
func testsByPackage(t *testing.T) map[string][]string {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	tests := map[string][]string{}
	for _, dir := range goList(t, "-f", "{{.Dir}}", "./...") {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		root, err := filepath.Abs("..")
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := filepath.Rel(root, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				tests[pkg] = append(tests[pkg], m[1])
				tests[""] = append(tests[""], m[1])
			}
		}
	}
	return tests
}

// TestPapersTests: a test that a paper names is there, and in that package.
func TestPapersTests(t *testing.T) {
	tests := testsByPackage(t)
	for _, paper := range papers {
		found := namedTest.FindAllStringSubmatch(read(t, paper), -1)
		if len(found) < 5 {
			t.Errorf("%s names %d tests", paper, len(found))
		}
		for _, m := range found {
			if !slices.Contains(tests[m[1]], m[2]) {
				t.Errorf("%s: there is no %s in %q", paper, m[2], m[1])
			}
		}
	}
}

// TestPapersPromises: each promise has a test.
func TestPapersPromises(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "SECURITY.md"), "\n## What is promised\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	promises := 0
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.HasPrefix(line, "|---") || strings.TrimSpace(cells[1]) == "promise" {
			continue
		}
		promises++
		if m := namedTest.FindStringSubmatch(cells[2]); m == nil || m[1] == "" {
			t.Errorf("nothing holds:%s", cells[1])
		}
	}
	if promises < 10 {
		t.Errorf("%d promises", promises)
	}
}

// TestPapersPaths: files and packages that a paper names are there, and
// docs/development.md has a place for each package.
func TestPapersPaths(t *testing.T) {
	for _, paper := range papers {
		text := namedTest.ReplaceAllString(read(t, paper), "")
		for _, re := range []*regexp.Regexp{namedPath, namedPackage} {
			for _, m := range re.FindAllStringSubmatch(text, -1) {
				if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
					t.Errorf("%s: %v", paper, err)
				}
			}
		}
	}
	page := read(t, "docs/development.md")
	for _, path := range goList(t, "./...") {
		pkg := strings.TrimPrefix(path, module+"/")
		if !regexp.MustCompile(regexp.QuoteMeta(pkg) + `[^\w/-]`).MatchString(page) {
			t.Errorf("docs/development.md has no place for %s", pkg)
		}
	}
}

// TestPapersTargets: the make targets that a paper names are there, and
// docs/development.md has each.
func TestPapersTargets(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "Makefile"), "\n.PHONY:")
	line, _, _ := strings.Cut(rest, "\n")
	targets := strings.Fields(line)
	var named []string
	for _, paper := range papers {
		for _, m := range namedTarget.FindAllStringSubmatch(read(t, paper), -1) {
			for _, target := range strings.Fields(m[1]) {
				if !slices.Contains(targets, target) || !strings.Contains(read(t, "Makefile"), "\n"+target+":") {
					t.Errorf("%s: there is no target %s", paper, target)
				}
				named = append(named, target)
			}
		}
	}
	for _, target := range targets {
		if !slices.Contains(named, target) {
			t.Errorf("docs/development.md has nothing about make %s", target)
		}
	}
}
