package workflow

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNoWorkflow: a build with the tag says so, and links neither the virtual
// machine nor the bundler.
func TestNoWorkflow(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-tags", "noworkflow", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, library := range []string{"goja", "esbuild", "regexp2"} {
		if strings.Contains(string(out), library) {
			t.Errorf("a build with the tag noworkflow has %s", library)
		}
	}
}
