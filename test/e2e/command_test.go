package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// command runs the binary and returns its exit code and both outputs.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestCheck(t *testing.T) {
	w := newWorld(t, nil)
	path := filepath.Join(t.TempDir(), "kong.yml")
	check := func(code int, want ...string) {
		t.Helper()
		if err := os.WriteFile(path, w.config(), 0o600); err != nil {
			t.Fatal(err)
		}
		got, stdout, stderr := command(t, "check", path)
		if got != code {
			t.Errorf("got exit code %d, want %d", got, code)
		}
		for _, line := range want {
			if !strings.Contains(stdout, line) {
				t.Errorf("%q is not in\n%s%s", line, stdout, stderr)
			}
		}
		if n := strings.Count(stdout, "\n"); n != len(want) {
			t.Errorf("got %d lines, want %d:\n%s", n, len(want), stdout)
		}
	}
	w.record("app:second", "org_code", org)
	check(0, "ok       services[0].plugins[0]: configuration: issuer https://example.kinde.com",
		"signing keys: 1, ", "provider's keys: 1", ": 2 applications")

	w.redis.Stop()
	w.provider.Close()
	if err := os.Remove(w.keyFile); err != nil {
		t.Fatal(err)
	}
	check(1, "ok       services[0].plugins[0]: configuration", "error    services[0].plugins[0]: signing keys: ",
		"error    services[0].plugins[0]: provider's keys: ", "error    services[0].plugins[0]: redis at 127.0.0.1:")

	w.edit = func(c map[string]any) {
		delete(c, "jwks_uri")
		c["issuer"] = "https://127.0.0.1:1"
		c["management_audiences"] = []any{}
	}
	check(1, "configuration", "signing keys", "openid-configuration", "redis at")

	w.edit = func(c map[string]any) { c["signing"] = map[string]any{"jwks": "{vault://env/keys}"} }
	check(1, "configuration", "signing keys: not checked, only Kong can resolve", "provider's keys", "redis at")

	w.edit = func(c map[string]any) {
		c["colour"], c["leeway"], c["claims"] = "red", -1, []any{map[string]any{"name": "x"}}
	}
	check(1, "config.colour: unknown field", "config.leeway: value should be between", "config.claims[0]: exactly one of")
}
