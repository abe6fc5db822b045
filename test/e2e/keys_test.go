package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/rotation"
)

func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if code, _, stderr := command(t, "keys", "generate", "--type", "ec", path); code != 0 {
		t.Fatal(stderr)
	}
	return path
}

// kidOf returns a key of the role.
func kidOf(t *testing.T, path string, role rotation.Role) string {
	t.Helper()
	s, err := rotation.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range s.Keys {
		if k.Role == role {
			return k.ID
		}
	}
	return ""
}

// TestKeysCommandLine: 1 is refused or failed, 2 a wrong command line; a wait
// can't be taken away by a figure that makes no sense.
func TestKeysCommandLine(t *testing.T) {
	path := keyFile(t)
	if code, _, stderr := command(t, "keys", "add", path); code != 0 {
		t.Fatal(stderr)
	}
	signing, next := kidOf(t, path, rotation.Signing), kidOf(t, path, rotation.Next)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"help", []string{"promote", "--help"}, 0, "usage: m2m-token-enricher keys promote"},
		{"unknown verb", []string{"revoke", path}, 2, "usage:"},
		{"no kid", []string{"promote", path}, 2, "usage: m2m-token-enricher keys promote"},
		{"a kid too many", []string{"add", path, next}, 2, "usage: m2m-token-enricher keys add"},
		{"unknown flag", []string{"add", path, "--now"}, 2, "not defined: -now"},
		{"no duration", []string{"rotate", path, "--every", "90d"}, 2, "invalid value"},
		{"time below zero", []string{"promote", path, next, "--max-age", "-10m"}, 2, "max-age: -10m0s is not between"},
		{"time that overflows", []string{"remove", "--token-life", "2562047h47m", path, next}, 2, "token-life: 2562047h47m0s is not between"},
		{"too early", []string{"promote", path, next, "--max-age", "10m"}, 1, "it is due in 1"},
		{"too early, flags first", []string{"promote", "--max-age", "10m", path, next}, 1, "it is due in 1"},
		{"retire the signing key", []string{"retire", path, signing}, 1, "it signs; promote another key first"},
		{"remove the signing key", []string{"remove", path, signing, "--force"}, 1, "it signs; promote another key first"},
		{"no such key", []string{"promote", path, "none"}, 1, "no key none in the file; see keys list"},
		{"no such file", []string{"add", path + "x"}, 1, path + "x"},
		{"generate over a file", []string{"generate", path}, 1, "is never overwritten"},
		{"nothing is due", []string{"rotate", path}, 0, "next: promote " + next},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{"keys"}, tt.args...)...)
			if code != tt.code || !strings.Contains(stdout+stderr, tt.want) {
				t.Errorf("exit code %d, want %d and %q\nstdout %s\nstderr %s", code, tt.code, tt.want, stdout, stderr)
			}
		})
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("a refused command changed the file")
	}
}

// privateParts returns the members of the keys of text that only its owner may
// know.
func privateParts(text []byte) (parts []string) {
	for _, m := range regexp.MustCompile(`"(?:d|p|q|dp|dq|qi)":\s*"([^"]+)"`).FindAllSubmatch(text, -1) {
		parts = append(parts, string(m[1]))
	}
	return parts
}

// TestKeysLifeShowsNoPrivateKey leads keys of each type through all commands,
// done and refused.
func TestKeysLifeShowsNoPrivateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	var shown strings.Builder
	var private []string
	run := func(args ...string) {
		t.Helper()
		_, stdout, stderr := command(t, append([]string{"keys"}, args...)...)
		shown.WriteString(stdout + stderr)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		private = append(private, privateParts(text)...)
	}
	run("generate", "--type", "rsa", path)
	for _, kind := range []string{"ec", "ed25519", "rsa"} {
		run("add", "--type", kind, path)
		next, before := kidOf(t, path, rotation.Next), kidOf(t, path, rotation.Signing)
		run("promote", path, next) // refused
		run("promote", path, next, "--force")
		run("list", path)
		run("public", path)
		run("retire", path, before)
		run("remove", path, before) // refused
		run("remove", path, before, "--force")
		run("rotate", "--every", "0s", path)
		run("remove", path, kidOf(t, path, rotation.Next))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{"not JSON " + string(text), string(text[:len(text)/2]), strings.Replace(string(text), `"kty"`, `"kty":1,"kty"`, 1),
		strings.Replace(string(text), `"m2m_created"`, `"m2m_created":"x","was"`, 1)} {
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"list", "public", "add", "rotate", "generate"} {
			run(verb, path)
		}
	}
	if len(private) < 50 || !strings.Contains(shown.String(), "too early") || !strings.Contains(shown.String(), "m2m_created must be") {
		t.Fatalf("%d private members, and shown was only\n%s", len(private), shown.String())
	}
	for _, part := range private {
		if strings.Contains(shown.String(), part) {
			t.Fatal("a private member is shown")
		}
	}
}

// TestKeysShowNoPrivateKey: no command prints what only the file may hold, and
// neither does the gateway.
func TestKeysShowNoPrivateKey(t *testing.T) {
	w := newWorld(t, nil)
	w.enriched(w.ask(form()))
	var shown strings.Builder
	for _, args := range [][]string{
		{"add", w.keyFile}, {"list", w.keyFile}, {"list", "--url", w.jwksURL(), w.keyFile}, {"public", w.keyFile}, {"rotate", w.keyFile},
		{"promote", w.keyFile, "none"}, {"generate", w.keyFile}, {"remove", w.keyFile, kidOf(t, w.keyFile, rotation.Signing)},
	} {
		_, stdout, stderr := command(t, append([]string{"keys"}, args...)...)
		shown.WriteString(stdout + stderr)
	}
	_, stdout, stderr := command(t, "-dump")
	shown.WriteString(stdout + stderr + w.gateway.Log())
	text, err := os.ReadFile(w.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	// A broken file is told of in the log.
	if err := os.WriteFile(w.keyFile, text[:len(text)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, stderr = command(t, "keys", "list", w.keyFile)
	shown.WriteString(stdout + stderr)
	w.eventually(func() error {
		w.enriched(w.ask(form()))
		if log := w.gateway.Log(); !strings.Contains(log, "keys are those from before") {
			return errNotYet
		}
		return nil
	})
	shown.WriteString(w.gateway.Log())
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		for _, rest := range strings.Split(string(text), `"`+member+`": "`)[1:] {
			if private, _, _ := strings.Cut(rest, `"`); strings.Contains(shown.String(), private) {
				t.Errorf("%s is shown", member)
			}
		}
	}
}

// TestRotationAtAGateway: a key that a command adds is published, and one that
// a command promotes signs, without a reload.
func TestRotationAtAGateway(t *testing.T) {
	t.Parallel() // it mostly waits
	w := newWorld(t, nil)
	old := w.ask(form())
	w.enriched(old)
	run := func(args ...string) (string, int) {
		t.Helper()
		code, stdout, stderr := command(t, append([]string{"keys"}, args...)...)
		return stdout + stderr, code
	}
	if out, code := run("add", "--type", "ec", w.keyFile); code != 0 {
		t.Fatal(out)
	}
	kid := kidOf(t, w.keyFile, rotation.Next)
	w.eventually(func() error {
		if out, code := run("list", "--url", w.jwksURL(), w.keyFile); code != 0 || strings.Count(out, " yes") != 2 {
			return errNotYet
		}
		return nil
	})
	if out, code := run("promote", w.keyFile, kid); code != 1 || !strings.Contains(out, "too early") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := run("promote", "--force", w.keyFile, kid); code != 0 {
		t.Fatal(out)
	}
	w.eventually(func() error {
		a := w.ask(form())
		w.enriched(a)
		if a.header()["kid"] != kid {
			return errNotYet
		}
		return nil
	})
	w.enriched(old) // the key before is still published
}
