package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuiltWithoutWorkflows: each command says that the binary can't do it.
func TestBuiltWithoutWorkflows(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "m2m-token-enricher")
	if out, err := exec.Command("go", "build", "-tags", "noworkflow", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	for _, command := range []string{"new", "check .", "run . --client a --records records"} {
		cmd := exec.Command(binary, strings.Fields("workflow "+command)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "built without workflows") {
			t.Errorf("workflow %s: got %v: %s, want that the binary was built without workflows", command, err, out)
		}
	}
}
