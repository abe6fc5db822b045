package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// demoCommand returns the demo as make runs it, with further arguments.
func demoCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	plugin := build(t, "./cmd/m2m-token-enricher", dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, build(t, "./test/demo", dir), append([]string{"-binary", plugin, "-config", "kong.yml", "-workflow", "test/demo/workflow"}, args...)...)
	cmd.Dir = ".."
	return cmd
}

// TestDemo: each step of the demo shows what it promises.
func TestDemo(t *testing.T) {
	out, err := demoCommand(t).CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	contains(t, "the demo", string(out), "\n6. A Kinde workflow", "bindings: kinde.env, kinde.fetch, kinde.m2mToken, url")
	_, reused, _ := strings.Cut(string(out), "\n7. With reuse")
	shown := regexp.MustCompile(`(?m)^   .*: (token "\w+", calls to the provider: 1)$`).FindAllStringSubmatch(reused, -1)
	if len(shown) != 3 || shown[0][1] != shown[1][1] || shown[0][1] != shown[2][1] {
		t.Errorf("got the tokens and calls %q, want the same three times", shown)
	}
	if n := strings.Count(string(out), `+ org_name  "Acme Inc"`); n != 2 {
		t.Errorf("got %d tokens with a name, want 2: of the mapping and of the workflow", n)
	}
}

// TestDemoUp: the commands that the running demo prints work, and it shows what the
// gateway logs.
func TestDemoUp(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl: ", err)
	}
	cmd := demoCommand(t, "-up")
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(output)
	_, printed, _ := strings.Cut(readUntil(t, lines, "What the gateway logs:"), "The gateway listens")
	commands := regexp.MustCompile(`(?m)^   \$ ((?:.*[\\|]\n)*.*)$`).FindAllStringSubmatch(printed, -1)
	wants := []string{
		`"org_name":"Acme Inc"`, `+ org_name: "Acme Inc"`, `{"keys":[`, `"access_token":"`, "unknown_application", "+ app 0f6ac7a1d2b24f0b8e1a2c3d4e5f6071", "+ plan=gold",
	}
	if len(commands) != len(wants) {
		t.Fatalf("got %d commands, want %d:\n%s", len(commands), len(wants), printed)
	}
	for i, want := range wants {
		out, err := exec.Command("sh", "-c", commands[i][1]).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", commands[i][1], err)
		}
		contains(t, commands[i][1], string(out), want)
	}
	readUntil(t, lines, `printed="the customer is Acme Inc"`)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, lines)
	expect(t, "how the demo ended", cmd.Wait(), nil)
}

// readUntil returns what is read up to a line with text.
func readUntil(t *testing.T, from *bufio.Reader, text string) (all string) {
	t.Helper()
	for {
		line, err := from.ReadString('\n')
		all += line
		if err != nil {
			t.Fatal(fmt.Errorf("no line with %s: %w:\n%s", text, err, all))
		}
		if strings.Contains(line, text) {
			return all
		}
	}
}
