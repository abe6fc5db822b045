package e2e

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"m2m-token-enricher/plugin/jws"
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

// TestKillNine: whenever a command is killed, the file is one that gateways
// accept.
func TestKillNine(t *testing.T) {
	kills := 200
	if testing.Short() {
		kills = 20
	}
	path := keyFile(t)
	for range kills {
		args := []string{"keys", "add", path}
		switch next, former := kidOf(t, path, rotation.Next), kidOf(t, path, rotation.Former); {
		case next != "":
			args = []string{"keys", "promote", "--force", path, next}
		case former != "":
			args = []string{"keys", "remove", "--force", path, former}
		}
		cmd := exec.Command(binary, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		killed := time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // killed or done, both are fine
		killed.Stop()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.ParseRing(text); err != nil {
			t.Fatalf("after %v: %v", args[1], err)
		}
	}
	if code, _, stderr := command(t, "keys", "add", path); code != 0 {
		t.Errorf("after all the kills: %s", stderr)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("killed runs left %v: %v", entries, err)
	}
}

func TestConcurrentCommands(t *testing.T) {
	path := keyFile(t)
	var runs sync.WaitGroup
	for range 10 {
		runs.Go(func() {
			if out, err := exec.Command(binary, "keys", "add", path).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	runs.Wait()
	s, err := rotation.Load(path)
	if err != nil || len(s.Keys) != 11 {
		t.Errorf("%d keys: %v", len(s.Keys), err)
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
