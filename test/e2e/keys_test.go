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

// privateParts returns the private members of the keys in text.
func privateParts(text []byte) (parts []string) {
	for _, m := range regexp.MustCompile(`"(?:d|p|q|dp|dq|qi)":\s*"([^"]+)"`).FindAllSubmatch(text, -1) {
		parts = append(parts, string(m[1]))
	}
	return parts
}

// TestKeysLifeShowsNoPrivateKey: no command shows a private key of any type,
// whether it succeeds or is refused.
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

// TestKeysShowNoPrivateKey: neither a command nor the gateway prints a
// private key.
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
	// The log reports a broken file.
	if err := os.WriteFile(w.keyFile, text[:len(text)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, stderr = command(t, "keys", "list", w.keyFile)
	shown.WriteString(stdout + stderr)
	w.eventually(func() error {
		w.enriched(w.ask(form()))
		if log := w.gateway.Log(); !strings.Contains(log, "previous signing keys stay in use") {
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
		t.Errorf("got exit code %d, %s, want 1 and too early", code, out)
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
	w.enriched(old) // the previous key is still published
}
