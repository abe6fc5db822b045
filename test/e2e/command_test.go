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

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		name, args     string
		code           int
		stdout, stderr string
	}{
		{"by hand", "", 2, "", "Kong starts it"},
		{"help", "-help", 0, "pluginserver_m2m_token_enricher_query_cmd", ""},
		{"version", "-version", 0, "m2m-token-enricher 0.", ""},
		{"dump", "-dump", 0, `"Protocol":"ProtoBuf:1"`, ""},
		{"dump with a prefix", "-kong-prefix /tmp -dump", 0, `"Name":"m2m-token-enricher"`, ""},
		{"unknown command", "serve", 2, "", `unknown command "serve"`},
		{"unknown flag", "-x", 2, "", "not defined: -x"},
		{"no socket", "-kong-prefix /nonexistent", 1, "", "must be able to write /nonexistent"},
		{"a socket's path that is too long", "-kong-prefix /" + strings.Repeat("x", 82), 1, "", "at most 107 bytes"},
		{"a socket's user by name", "-kong-prefix /nonexistent -socket-user root -metrics-user 65534", 1, "", "must be able to write /nonexistent"},
		{"a socket's user that nobody has", "-socket-user no-such-user", 2, "", "unknown user no-such-user"},
		{"a socket's user that is none", "-socket-user 4294967295", 2, "", "not the number of a user"},
		{"audit files of no size", "-audit /tmp/x -audit-size 0", 2, "", "-audit-size must be from 1 to"},
		{"audit files that none is kept of", "-audit /tmp/x -audit-keep 0", 2, "", "-audit-keep 1 or more"},
		{"keys", "keys", 2, "", "m2m-token-enricher keys promote [--max-age 5m] [--force] FILE KID"},
		{"keys without a file", "keys generate", 2, "", "usage: m2m-token-enricher keys generate"},
		{"keys of an unknown type", "keys generate --type dsa /tmp/x", 1, "", `not "dsa"`},
		{"check", "check", 2, "", "usage: m2m-token-enricher check"},
		{"a record below a prefix that has no end", "app get --prefix m2m a", 2, "", `--prefix "m2m": must end in a separator`},
		{"a folder below another prefix's records", "sync file --prefix m2m:app: x", 2, "", `below the prefix "m2m:"; choose another word`},
		{"check nothing", "check /nonexistent.yml", 1, "", "/nonexistent.yml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := command(t, strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit code %d\nstdout %s\nstderr %s", code, stdout, stderr)
			}
		})
	}
}

func TestKeysGenerate(t *testing.T) {
	for _, kind := range []string{"rsa", "ec", "ed25519"} {
		path := filepath.Join(t.TempDir(), "keys.json")
		code, stdout, stderr := command(t, "keys", "generate", "--type", kind, path)
		if code != 0 || !strings.Contains(stdout, path) {
			t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if code, _, _ := command(t, "keys", "generate", "--type", kind, path); code != 1 {
			t.Errorf("exit code %d over an existing file", code)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Error("an existing file was overwritten")
		}
	}
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
			t.Errorf("exit code %d", got)
		}
		for _, line := range want {
			if !strings.Contains(stdout, line) {
				t.Errorf("%q is not in\n%s%s", line, stdout, stderr)
			}
		}
		if n := strings.Count(stdout, "\n"); n != len(want) {
			t.Errorf("%d lines, not %d:\n%s", n, len(want), stdout)
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
	check(1, "ok       services[0].plugins[0]: configuration", "mistake  services[0].plugins[0]: signing keys: ",
		"mistake  services[0].plugins[0]: provider's keys: ", "mistake  services[0].plugins[0]: redis at 127.0.0.1:")

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
