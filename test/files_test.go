package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// read returns the text of the repository's file at path.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// match returns what the first group of pattern matches in the file at path.
func match(t *testing.T, path, pattern string) string {
	t.Helper()
	m := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(read(t, path))
	if m == nil {
		t.Fatalf("%s has nothing that matches %s", path, pattern)
	}
	return m[1]
}

// block returns the first fenced block of language in a page.
func block(t *testing.T, page, language string) string {
	t.Helper()
	return match(t, page, "(?s)^```"+language+"\n(.*?)\n```")
}

// expect fails the test unless got is want.
func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// contains fails the test unless text has each part.
func contains(t *testing.T, name, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: want %q in:\n%s", name, part, text)
		}
	}
}

// exists fails the test unless the repository has a file or folder at path, which
// may have wildcards.
func exists(t *testing.T, path string) {
	t.Helper()
	if files, err := filepath.Glob(filepath.Join("..", path)); err != nil || len(files) == 0 {
		t.Errorf("there is no %s: %v", path, err)
	}
}

// build builds a command of the repository into dir and returns its path.
func build(t *testing.T, pkg, dir string) string {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", dir+"/", pkg)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, filepath.Base(pkg))
}

// runProduct returns what the product's command prints.
func runProduct(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"run", "./cmd/m2m-token-enricher"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("m2m-token-enricher %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// decode returns the YAML file at path.
func decode(t *testing.T, path string) any {
	t.Helper()
	return decodeText(t, path, read(t, path))
}

func decodeText(t *testing.T, path, text string) (doc any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &doc); err != nil { // it refuses doubled members
		t.Fatalf("%s: %v", path, err)
	}
	return doc
}

// at returns the value in doc at a path such as "services.0.name", which may be
// given in parts. It is nil if there is none.
func at(doc any, path ...string) any {
	for _, name := range strings.Split(strings.Join(path, "."), ".") {
		switch parent := doc.(type) {
		case map[string]any:
			doc = parent[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(parent) {
				return nil
			}
			doc = parent[i]
		default:
			return nil
		}
	}
	return doc
}

func text(value any) string { return fmt.Sprint(value) }

func texts(list any) []string {
	values, _ := list.([]any)
	all := make([]string, len(values))
	for i, value := range values {
		all[i] = text(value)
	}
	return all
}
