package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// papers are the pages that name tests, files, packages and make targets.
var papers = []string{"docs/development.md", "SECURITY.md"}

var (
	namedTest    = regexp.MustCompile("`(?:([a-z0-9./-]+)\\.)?((?:Test|Fuzz)[A-Z]\\w*)`")
	namedPath    = regexp.MustCompile(`(?:^|[\s` + "`" + `("(])((?:cmd|plugin|cache|records|sync|schema|test|docs|deploy|\.ci)/[\w./*-]*[\w*])`)
	namedPackage = regexp.MustCompile("`(plugin|cache|records|sync|schema|test)`")
	namedTarget  = regexp.MustCompile("`make((?: [a-z][a-z0-9-]*)+)`")
)

// testsByPackage returns the tests of each folder, and all of them under "".
func testsByPackage(t *testing.T) map[string][]string {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	tests := map[string][]string{}
	for _, line := range goList(t, "-f", "{{.ImportPath}} {{.Dir}}", "./...") {
		path, dir, _ := strings.Cut(line, " ")
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				pkg := strings.TrimPrefix(path, module+"/")
				tests[pkg] = append(tests[pkg], m[1])
				tests[""] = append(tests[""], m[1])
			}
		}
	}
	return tests
}

// TestPapersTests: a test that a paper names exists in the package that it names.
func TestPapersTests(t *testing.T) {
	tests := testsByPackage(t)
	for _, paper := range papers {
		named := namedTest.FindAllStringSubmatch(read(t, paper), -1)
		if len(named) < 5 {
			t.Errorf("%s names %d tests, want at least 5", paper, len(named))
		}
		for _, m := range named {
			if !slices.Contains(tests[m[1]], m[2]) {
				t.Errorf("%s names %s in %q, which doesn't exist", paper, m[2], m[1])
			}
		}
	}
}

// TestPapersPromises: each promise names a test with its package.
func TestPapersPromises(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "SECURITY.md"), "\n| promise | tests |\n|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	promises := strings.Split(table, "\n")
	if len(promises) < 10 {
		t.Errorf("SECURITY.md has %d promises, want at least 10", len(promises))
	}
	for _, line := range promises {
		promise, tests, _ := strings.Cut(strings.Trim(line, "| "), " | ")
		if m := namedTest.FindStringSubmatch(tests); m == nil || m[1] == "" {
			t.Errorf("no test is named for the promise: %s", promise)
		}
	}
}

// TestPapersPaths: files and packages that a page names exist, and
// docs/development.md names each package.
func TestPapersPaths(t *testing.T) {
	for _, page := range append(papers, "docs/deploy.md") {
		text := namedTest.ReplaceAllString(read(t, page), "")
		for _, m := range append(namedPath.FindAllStringSubmatch(text, -1), namedPackage.FindAllStringSubmatch(text, -1)...) {
			exists(t, m[1])
		}
	}
	page := read(t, "docs/development.md")
	for _, path := range goList(t, "./...") {
		pkg := strings.TrimPrefix(path, module+"/")
		if !regexp.MustCompile(regexp.QuoteMeta(pkg) + `[^\w/-]`).MatchString(page) {
			t.Errorf("docs/development.md doesn't name %s", pkg)
		}
	}
}

// TestPapersTargets: docs/development.md names each make target, and the targets
// that a paper names exist.
func TestPapersTargets(t *testing.T) {
	targets := strings.Fields(match(t, "Makefile", `^\.PHONY:(.*)$`))
	slices.Sort(targets)
	var named []string
	for _, paper := range papers {
		for _, m := range namedTarget.FindAllStringSubmatch(read(t, paper), -1) {
			named = append(named, strings.Fields(m[1])...)
		}
	}
	slices.Sort(named)
	expect(t, "make targets in the papers", slices.Compact(named), targets)
	for _, target := range targets {
		contains(t, "Makefile", read(t, "Makefile"), "\n"+target+":")
	}
}
