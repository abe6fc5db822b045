package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFiles(t *testing.T) {
	const (
		kinde = "-- kinde.json --\n{\"version\": \"2024-12-09\", \"rootDir\": \"code\"}\n"
		file  = "-- code/environment/workflows/m2m/ClaimsWorkflow.ts --\n"
		other = "-- code/environment/workflows/mfaworkflow.jsx --\n"
	)
	for name, test := range map[string]struct{ archive, path, want string }{
		"a file":                  {"-- a.js --\n", "a.js", "a.js"},
		"a repository":            {kinde + file + other, ".", "code/environment/workflows/m2m/ClaimsWorkflow.ts code/environment/workflows/mfaworkflow.jsx"},
		"the default rootDir":     {"-- kinde.json --\n{}\n-- kindeSrc/environment/workflows/aWorkflow.js --\n" + file, ".", "kindeSrc/environment/workflows/aWorkflow.js"},
		"a folder in it":          {kinde + file + other, "code/environment/workflows/m2m", "code/environment/workflows/m2m/ClaimsWorkflow.ts"},
		"a folder above it":       {"-- app/kinde.json --\n{}\n-- app/kindeSrc/environment/workflows/aWorkflow.js --\n-- other/bWorkflow.js --\n", ".", "app/kindeSrc/environment/workflows/aWorkflow.js"},
		"files beside the folder": {kinde + file + "-- code/environment/pages/xWorkflow.ts --\n-- aWorkflow.ts --\n", ".", "code/environment/workflows/m2m/ClaimsWorkflow.ts"},
		"without kinde.json":      {"-- b/aWorkflow.ts --\n-- cWorkflow.tsx --\n-- d.ts --\n-- eWorkflow.test.ts --\n-- fWorkflow.mjs --\n", ".", "b/aWorkflow.ts cWorkflow.tsx"},
		"packages, hidden files":  {"-- aWorkflow.ts --\n-- node_modules/x/bWorkflow.ts --\n-- node_modules/x/kinde.json --\n{}\n-- .git/cWorkflow.ts --\n", ".", "aWorkflow.ts"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := repositoryWith(t, test.archive)
			files, err := Files(filepath.Join(dir, test.path))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(strings.Join(files, " "), dir+"/", ""); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestFilesErrors(t *testing.T) {
	for name, test := range map[string]struct{ archive, path, want string }{
		"nothing there":      {"", "a", "the workflow can't be read: stat DIR/a: no such file or directory"},
		"no workflow":        {"-- a.ts --\n", ".", "DIR has no workflow: want a file that is named like claimsWorkflow.ts, or a folder with kinde.json"},
		"not where it says":  {"-- kinde.json --\n{}\n-- aWorkflow.ts --\n", ".", "DIR has no workflow: want a file that is named like claimsWorkflow.ts in DIR/kindeSrc/environment/workflows, as DIR/kinde.json says"},
		"not JSON":           {"-- kinde.json --\n{", ".", `DIR/kinde.json: want JSON such as {"version": "2024-12-09", "rootDir": "kindeSrc"}: unexpected end of JSON input`},
		"rootDir outside":    {"-- kinde.json --\n{\"rootDir\": \"../x\"}", ".", `DIR/kinde.json: rootDir is "../x", want a folder of the repository`},
		"rootDir is a value": {"-- kinde.json --\n{\"rootDir\": \"/etc\"}", ".", `DIR/kinde.json: rootDir is "/etc", want a folder of the repository`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := repositoryWith(t, test.archive)
			_, err := Files(filepath.Join(dir, test.path))
			if err == nil {
				t.Fatalf("got no error, want %s", test.want)
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestFilesThroughLinks: files in a folder that Kubernetes mounts are links to
// a hidden folder, and the folder may be a link itself.
func TestFilesThroughLinks(t *testing.T) {
	dir := repositoryWith(t, "-- mounted/..2026/aWorkflow.ts --\nexport default () => 'ok'\n")
	for link, target := range map[string]string{"mounted/..data": "..2026", "mounted/aWorkflow.ts": "..data/aWorkflow.ts", "current": "mounted"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	want := filepath.Join(dir, "current/aWorkflow.ts")
	files, err := Files(filepath.Join(dir, "current"))
	if err != nil || len(files) != 1 || files[0] != want {
		t.Fatalf("Files = %v, %v, want %s", files, err, want)
	}
	b, err := Build(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, b); got != "ok" {
		t.Errorf("got %v, want ok", got)
	}
}
