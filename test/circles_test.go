package test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// largestCircle is how many files of a package may need each other.
const largestCircle = 4

// TestCircles: a reader can follow the files of a package from one to the next
// and rarely has to go back. A file needs another one if it uses what that one
// declares. Files in a circle need each other.
func TestCircles(t *testing.T) {
	exported := map[string]string{} // the compiler's export data, by package
	listed := goList(t, "-export", "-deps", "-f", `{{.ImportPath}} {{.Export}} {{.Dir}} {{join .GoFiles " "}}`, "./schema", "./plugin/...", "./cache/...", "./records/...", "./sync/...", "./cmd/...")
	for _, line := range listed {
		words := strings.SplitN(line, " ", 3)
		exported[words[0]] = words[1]
	}
	files := token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exported[path]) })
	for _, line := range listed {
		words := strings.Fields(line)
		if !strings.HasPrefix(line, module+"/") {
			continue
		}
		name := strings.TrimPrefix(words[0], module+"/")
		circle := largest(uses(t, files, imports, words[0], words[2], words[3:]))
		t.Logf("%-24s %2d of %2d files: %s", name, len(circle), len(words)-3, strings.Join(circle, " "))
		if len(circle) > largestCircle {
			t.Errorf("%s: %d files need each other, want at most %d: %v", name, len(circle), largestCircle, circle)
		}
	}
}

// uses returns which files of a package each of them uses.
func uses(t *testing.T, files *token.FileSet, imports types.Importer, path, dir string, names []string) map[string][]string {
	t.Helper()
	var parsed []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(files, filepath.Join(dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	pkg, err := (&types.Config{Importer: imports}).Check(path, files, parsed, &info)
	if err != nil {
		t.Fatal(err)
	}
	fileOf := func(at token.Pos) string { return filepath.Base(files.Position(at).Filename) }
	used := map[string][]string{}
	for _, name := range names {
		used[name] = nil
	}
	for use, object := range info.Uses {
		from := fileOf(use.Pos())
		if object.Pkg() != pkg || fileOf(object.Pos()) == from || slices.Contains(used[from], fileOf(object.Pos())) {
			continue
		}
		used[from] = append(used[from], fileOf(object.Pos()))
	}
	return used
}

// largest returns the largest set of files that all reach each other.
func largest(used map[string][]string) (circle []string) {
	reached := map[string]map[string]bool{}
	for file := range used {
		reached[file] = map[string]bool{}
		for next := []string{file}; len(next) > 0; next = next[1:] {
			if !reached[file][next[0]] {
				reached[file][next[0]] = true
				next = append(next, used[next[0]]...)
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(used)) {
		others := slices.Sorted(maps.Keys(reached[file]))
		others = slices.DeleteFunc(others, func(other string) bool { return !reached[other][file] })
		if len(others) > len(circle) {
			circle = others
		}
	}
	return circle
}
