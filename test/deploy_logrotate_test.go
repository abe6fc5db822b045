package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogrotate: logrotate reads deploy/logrotate, which is for the audit log of
// docs/operate.md and moves it to no name that the plugin uses itself.
func TestLogrotate(t *testing.T) {
	const file = "deploy/logrotate/m2m-token-enricher"
	text := read(t, file)
	_, path, _ := strings.Cut(read(t, "docs/operate.md"), " -audit ")
	path, _, _ = strings.Cut(path, "\n")
	for _, want := range []string{"\n" + path + " {\n", "\n    dateext\n", "\n    delaycompress\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s hasn't %q", file, want)
		}
	}
	if _, err := exec.LookPath("logrotate"); err != nil {
		t.Skip(err)
	}
	text = strings.Replace(text, "su kong kong", "", 1) // that user may not exist here
	copied := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("logrotate", "-d", copied).CombinedOutput()
	if err != nil || strings.Contains(string(out), "error:") || !strings.Contains(string(out), "rotating pattern: "+path) {
		t.Errorf("logrotate -d: %v\n%s", err, out)
	}
}
