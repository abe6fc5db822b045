package test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var shell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// refused marks a command on a page that fails, and the reason that it prints.
var refused = regexp.MustCompile(`(?m)^(.*) # refused: (.*)$`)

// runPage runs the commands of a page from the first to the last in an empty
// directory, and returns their output. A command that the page marks
// "# refused: WHY" must fail with that reason. edit replaces what a reader would
// edit, such as ports.
func runPage(t *testing.T, page string, refusals int, edit *strings.Replacer) string {
	t.Helper()
	bin := t.TempDir()
	build(t, "./cmd/m2m-token-enricher", bin)
	script := "set -eu\n"
	for _, block := range shell.FindAllStringSubmatch(read(t, page), -1) {
		script += refused.ReplaceAllString(edit.Replace(block[1]), `code=0; said=$($1 2>&1) || code=$$?`+"\n"+
			`if [ $$code != 1 ]; then echo "exit code $$code, want 1: $$said"; exit 1; fi`+"\n"+
			`case "$$said" in *"$2"*) ;; *) echo "want $2, got: $$said"; exit 1;; esac`)
	}
	if got := strings.Count(script, "case \"$said\""); got != refusals {
		t.Fatalf("%s marks %d refusals, want %d", page, got, refusals)
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

func TestKeysPage(t *testing.T) {
	out := runPage(t, "docs/keys.md", 2, strings.NewReplacer())
	contains(t, "docs/keys.md", out, "new signing key", "nothing is due", "next: add at", "added ", "is no longer published")
}
