package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNothingFromOutside: a bundle never has text of a file outside of the
// repository, however an import leads there.
func TestNothingFromOutside(t *testing.T) {
	for name, test := range map[string]struct{ link, target, importing string }{
		"a path":                    {"", "", "import x from '../outside/secret.json'"},
		"an absolute path":          {"", "", "import x from 'DIR/outside/secret.json'"},
		"a linked file":             {"inside/x.json", "../outside/secret.json", "import x from './x.json'"},
		"an absolute link":          {"inside/x.json", "DIR/outside/secret.json", "import x from './x.json'"},
		"a linked folder":           {"inside/x", "../outside", "import x from './x/secret.json'"},
		"a linked package":          {"inside/node_modules", "../outside", "import x from 'secret.json'"},
		"require":                   {"", "", "const x = require('../outside/secret.json')"},
		"a dynamic import":          {"", "", "const x = import('../outside/secret.json')"},
		"a pattern":                 {"", "", "const n = 'secret', x = require('../outside/' + n + '.json')"},
		"a pattern of an import":    {"", "", "const n = 'secret', x = import(`../outside/${n}.json`)"},
		"an attribute":              {"", "", "import x from '../outside/secret.txt' with { type: 'text' }"},
		"a query":                   {"", "", "import x from '../outside/secret.json?raw'"},
		"a package without a scope": {"", "", "import x from 'outside/secret.json'"},
		"a URL of a file":           {"", "", "import x from 'file://DIR/outside/secret.json'"},
		"a pipe":                    {"", "", "import x from './pipe.json'"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := repositoryWith(t, "-- outside/secret.json --\n\"7cb2f0\"\n-- outside/secret.txt --\n7cb2f0\n-- inside/kinde.json --\n{}\n")
			if err := syscall.Mkfifo(filepath.Join(dir, "inside/pipe.json"), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.link != "" {
				if err := os.Symlink(strings.ReplaceAll(test.target, "DIR", dir), filepath.Join(dir, test.link)); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "inside/w.js")
			text := strings.ReplaceAll(test.importing, "DIR", dir) + "\nexport default () => x"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := Build(file)
			if err == nil {
				t.Fatalf("got a bundle, which returns %v, want an error", run(t, b))
			}
			if strings.Contains(err.Error(), "7cb2f0") {
				t.Errorf("got the file's text in %v", err)
			}
		})
	}
}

// TestLinkedWorkflow: a workflow's own file isn't read through a link that leads
// out of its folder.
func TestLinkedWorkflow(t *testing.T) {
	dir := repositoryWith(t, "-- outside/w.js --\nexport default () => 1\n-- inside/kinde.json --\n{}\n")
	link := filepath.Join(dir, "inside/w.js")
	if err := os.Symlink("../outside/w.js", link); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(link); err == nil || !strings.Contains(err.Error(), "is outside of the repository") {
		t.Errorf("got %v, want an error that it is outside", err)
	}
}
