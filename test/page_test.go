package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var shell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// refused marks a command that a page says to be refused with a reason.
var refused = regexp.MustCompile(`(?m)^(.*) # refused: (.*)$`)

// runPage runs the commands of a page from the first to the last in an empty
// directory, and returns what they say. A command that the page marks
// "# refused: WHY" must be refused with that. edit makes the places fit that a
// reader would edit, such as ports.
func runPage(t *testing.T, page string, refusals int, edit *strings.Replacer) string {
	t.Helper()
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "m2m-token-enricher"), "./cmd/m2m-token-enricher")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	script := "set -eu\n"
	for _, block := range shell.FindAllStringSubmatch(read(t, page), -1) {
		script += refused.ReplaceAllString(edit.Replace(block[1]), `code=0; said=$($1 2>&1) || code=$$?`+"\n"+
			`if [ $$code != 1 ]; then echo "not refused, but exit code $$code: $$said"; exit 1; fi`+"\n"+
			`case "$$said" in *"$2"*) ;; *) echo "refused otherwise: $$said"; exit 1;; esac`)
	}
	if n := strings.Count(script, "not refused"); n != refusals {
		t.Fatalf("%s marks %d refusals, not %d", page, n, refusals)
	}
	run := exec.Command("sh", "-c", script)
	run.Dir = t.TempDir()
	run.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v:\n%s\n%s", page, err, out, script)
	}
	return string(out)
}

func expectSaid(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("%q was not said:\n%s", want, out)
		}
	}
}

func TestKeysPage(t *testing.T) {
	out := runPage(t, "docs/keys.md", 2, strings.NewReplacer())
	expectSaid(t, out, "new signing key", "nothing is due", "next: add at", "added ", "is no longer published")
}
