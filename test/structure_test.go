// Package test holds the suites that look at the product from outside.
package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "m2m-token-enricher"

// arrows are the packages of the product and which others each may import. Data flows from left to right in cmd → plugin → enrich → jws →
// splice; nothing points back.
var arrows = map[string][]string{
	"schema":                  {},
	"plugin/splice":           {},
	"plugin/visible":          {},
	"plugin/socket":           {},
	"plugin/pdk":              {},
	"plugin/jws/libcrypto":    {},
	"plugin/jws/pkcs11":       {"schema", "plugin/jws"},
	"plugin/jws":              {"schema", "plugin/splice"},
	"plugin/expression":       {"schema", "plugin/splice"},
	"plugin/enrich":           {"schema", "plugin/splice", "plugin/jws", "plugin/expression"},
	"plugin/workflow/bundle":  {"schema"},
	"plugin/metrics":          {},
	"plugin/traces":           {},
	"plugin/audit":            {"plugin/visible"},
	"plugin/rotation":         {"schema", "plugin/splice", "plugin/jws", "plugin/visible"},
	"cache/connect":           {"schema"},
	"cache":                   {"schema", "cache/connect"},
	"records":                 {"schema", "cache/connect"},
	"sync/reconcile":          {"schema", "records"},
	"sync/kinde":              {"schema", "records", "sync/reconcile"},
	"plugin/reuse":            {"schema", "plugin/enrich"},
	"plugin/gateway":          {"schema", "cache", "plugin/splice", "plugin/jws", "plugin/enrich", "plugin/reuse", "plugin/workflow"},
	"plugin/workflow/fetch":   {"schema"},
	"plugin/workflow":         {"schema", "plugin/splice", "plugin/enrich", "plugin/workflow/bundle", "plugin/workflow/fetch"},
	"plugin/gateway/diagnose": {"schema", "plugin/splice", "plugin/jws", "plugin/enrich", "plugin/reuse", "plugin/workflow", "plugin/gateway"},
	"plugin":                  {"schema", "plugin/gateway", "plugin/jws", "plugin/enrich", "plugin/reuse", "plugin/metrics", "plugin/traces", "plugin/audit", "plugin/visible", "plugin/socket", "plugin/pdk"},
	"cmd/m2m-token-enricher":  {"schema", "plugin", "plugin/gateway/diagnose", "plugin/workflow", "plugin/jws", "plugin/jws/libcrypto", "plugin/jws/pkcs11", "plugin/enrich", "plugin/rotation", "plugin/visible", "records", "sync/reconcile", "sync/kinde"},
}

// owners are the only packages of the product that may import a module.
var owners = map[string][]string{
	"github.com/Kong/go-pdk":          {"plugin/pdk"},
	"github.com/redis/go-redis":       {"cache", "cache/connect", "records"},
	"github.com/golang-jwt/jwt":       {"plugin/jws"},
	"github.com/go-jose/go-jose":      {"plugin/jws"},
	"github.com/ebitengine/purego":    {"plugin/jws/libcrypto"},
	"github.com/ThalesGroup/crypto11": {"plugin/jws/pkcs11"},
	"github.com/miekg/pkcs11":         {"plugin/jws/pkcs11"},
	"github.com/prometheus/":          {"plugin/metrics"},
	"go.opentelemetry.io/":            {"plugin/traces"},
	"sigs.k8s.io/yaml":                {},
	"go.yaml.in/yaml":                 {"cmd/m2m-token-enricher"},
	"github.com/andybalholm/brotli":   {"plugin/enrich"},
	"github.com/klauspost/compress":   {"plugin/enrich"},
	"github.com/hashicorp/golang-lru": {"cache", "plugin/reuse", "sync/kinde"},
	"github.com/go-json-experiment":   {"plugin/splice", "plugin/workflow", "plugin/jws", "plugin/expression", "plugin/enrich", "plugin/gateway", "plugin/gateway/diagnose", "plugin/rotation", "records"},
	"cel.dev/":                        {"plugin/expression"},
	"github.com/dop251/goja":          {"plugin/workflow", "plugin/workflow/bundle"},
	"github.com/evanw/esbuild":        {"plugin/workflow/bundle"},
	"github.com/go-sourcemap":         {"plugin/workflow/bundle"},
	"github.com/schollz/progressbar":  {"cmd/m2m-token-enricher"},
	"github.com/urfave/cli":           {"cmd/m2m-token-enricher"},
	"github.com/rogpeppe/go-internal": {},
	"github.com/alicebob/miniredis":   {},
	module + "/test":                  {},
	"testing":                         {},
	"google.golang.org/protobuf":      {"plugin/pdk"},
	"github.com/dlclark/regexp2":      {"plugin/workflow"},
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestArrows: each package imports only what it may, with the build tags, too.
func TestArrows(t *testing.T) {
	for _, tags := range []string{"", "pkcs11", "libcrypto"} {
		for _, line := range goList(t, "-tags", tags, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
			words := strings.Fields(line)
			pkg := strings.TrimPrefix(words[0], module+"/")
			if !strings.HasPrefix(pkg, "test") {
				checkArrows(t, pkg, words[1:])
			}
		}
	}
}

func checkArrows(t *testing.T, pkg string, imports []string) {
	t.Helper()
	allowed, ok := arrows[pkg]
	if !ok {
		t.Errorf("%s has no line in arrows, want one", pkg)
	}
	for _, imported := range imports {
		if sub, ours := strings.CutPrefix(imported, module+"/"); ours && !slices.Contains(allowed, sub) {
			t.Errorf("%s imports %s, want only %v", pkg, sub, allowed)
		}
		for path, owner := range owners {
			if strings.HasPrefix(imported, path) && !slices.Contains(owner, pkg) {
				t.Errorf("%s imports %s, want that only in %v", pkg, imported, owner)
			}
		}
	}
}

// TestOwnersAreRequired: a line for a library that isn't required checks nothing.
func TestOwnersAreRequired(t *testing.T) {
	for path := range owners {
		if strings.Contains(path, ".") {
			contains(t, "go.mod", read(t, "go.mod"), path)
		}
	}
}

// TestCoreIsPure: a package must not even reach these, by any chain of imports.
func TestCoreIsPure(t *testing.T) {
	for pkg, forbidden := range map[string][]string{
		"./plugin/enrich":           {"github.com/Kong/go-pdk", "github.com/redis/go-redis", module + "/cache"},
		"./plugin/gateway/diagnose": {"github.com/Kong/go-pdk", module + "/plugin/metrics", module + "/plugin/traces", module + "/plugin/audit"},
		"./schema":                  {"github.com/", "golang.org/", "go.", "sigs."},
		"./cache":                   {"github.com/Kong/go-pdk", module + "/plugin"},
	} {
		for _, dep := range goList(t, "-deps", pkg) {
			for _, path := range forbidden {
				if strings.HasPrefix(dep, path) {
					t.Errorf("%s reaches %s", pkg, dep)
				}
			}
		}
	}
}

// TestOneWayToTheTerminal: lines for people are written by plugin/visible alone,
// which escapes what is in them, except for places that write something else.
func TestOneWayToTheTerminal(t *testing.T) {
	printing := regexp.MustCompile(`\bfmt\.F?[Pp]rint\w*\(|\bos\.(Stdout|Stderr)\b|\bprintln\(|"kong\.log\.|\.Log\(`)
	others := map[string]string{
		"plugin/visible/visible.go":      "it is the way",
		"plugin/event.go":                "through visible.Line to Kong's log",
		"plugin/pdk/event.go":            "has plugin/event.go make the lines",
		"cmd/m2m-token-enricher/main.go": "hands the outputs over",
		"plugin/answer.go":               "makes a text",
		"plugin/metrics/serve.go":        "answers over HTTP",
	}
	top := goList(t, "-m", "-f", "{{.Dir}}")[0]
	for _, line := range goList(t, "-f", `{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}} {{end}}`, "./schema", "./plugin/...", "./cache/...", "./records/...", "./sync/...", "./cmd/...") {
		for _, path := range strings.Fields(line) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(top, path)
			text = bytes.ReplaceAll(text, []byte("visible.Log("), nil) // the way, too
			if found := printing.Find(text); found != nil && others[name] == "" {
				t.Errorf("%s has %s: print with plugin/visible", name, found)
			}
		}
	}
}

// TestStaticBinary: a program with purego needs the system's dynamic linker, so
// only a build with the tag may have it.
func TestStaticBinary(t *testing.T) {
	const purego = "github.com/ebitengine/purego"
	if slices.Contains(goList(t, "-deps", "./..."), purego) {
		t.Errorf("the static binary reaches %s", purego)
	}
	if !slices.Contains(goList(t, "-deps", "-tags", "libcrypto", "./plugin/jws/libcrypto"), purego) {
		t.Errorf("the build with the tag doesn't reach %s", purego)
	}
}

// TestNoWorkflow: the command that is built with the tag has neither the bundler
// nor the virtual machine, and without the tag it has both.
func TestNoWorkflow(t *testing.T) {
	const command = "./cmd/m2m-token-enricher"
	with, without := goList(t, "-deps", command), goList(t, "-deps", "-tags", "noworkflow", command)
	for _, library := range []string{"github.com/dop251/goja", "github.com/evanw/esbuild/pkg/api"} {
		if !slices.Contains(with, library) {
			t.Errorf("the command doesn't reach %s, so that this test compares nothing", library)
		}
		if slices.Contains(without, library) {
			t.Errorf("the command with the tag noworkflow reaches %s", library)
		}
	}
}
