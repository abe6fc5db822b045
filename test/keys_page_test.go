package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestKeysPage runs the commands of docs/keys.md from the first to the last. A
// command that the page marks "# refused: WHY" must be refused with that.
func TestKeysPage(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "m2m-token-enricher"), "./cmd/m2m-token-enricher")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(read(t, "docs/keys.md"), -1)
	refused := regexp.MustCompile(`(?m)^(.*) # refused: (.*)$`)
	script := "set -eu\n"
	for _, block := range blocks {
		script += refused.ReplaceAllString(block[1], `code=0; said=$($1 2>&1) || code=$$?`+"\n"+
			`if [ $$code != 1 ]; then echo "not refused, but exit code $$code"; exit 1; fi`+"\n"+
			`case "$$said" in *"$2"*) ;; *) echo "refused otherwise: $$said"; exit 1;; esac`)
	}
	if len(blocks) < 7 || strings.Count(script, "not refused") != 2 {
		t.Fatalf("the page has %d blocks:\n%s", len(blocks), script)
	}
	run := exec.Command("sh", "-c", script)
	run.Dir = t.TempDir()
	run.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s\n%s", err, out, script)
	}
	for _, want := range []string{"new signing key", "nothing is due", "next: add at", "added ", "is no longer published"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q was not said:\n%s", want, out)
		}
	}
}
