package e2e

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/rotation"
)

// killed runs a command and kills it after a random time, if it still runs.
func killed(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // killed or done, both are fine
	kill.Stop()
}

// kills is how often a command is killed.
func kills() int {
	if testing.Short() {
		return 20
	}
	return 200
}

// randomStep returns a command that changes the file.
func randomStep(t *testing.T, path string) []string {
	t.Helper()
	next, former, retired := kidOf(t, path, rotation.Next), kidOf(t, path, rotation.Former), kidOf(t, path, rotation.Retired)
	steps := [][]string{{"rotate", "--every", "0s", path}}
	if next == "" {
		steps = append(steps, []string{"add", path})
	} else {
		steps = append(steps, []string{"promote", "--force", path, next})
	}
	if former != "" {
		steps = append(steps, []string{"retire", path, former})
	}
	if retired != "" {
		steps = append(steps, []string{"remove", "--force", path, retired})
	}
	return append([]string{"keys"}, steps[rand.IntN(len(steps))]...)
}

// TestKillNine: whenever a command is killed, gateways accept the file, which
// still has its signing key.
func TestKillNine(t *testing.T) {
	path := keyFile(t)
	for range kills() {
		args := randomStep(t, path)
		killed(t, args...)
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

// TestKillGenerate: a killed command leaves a whole new file, or none.
func TestKillGenerate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	for range kills() / 4 {
		killed(t, "keys", "generate", "--type", "ec", path)
		if _, err := rotation.Load(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		_ = os.Remove(path)
	}
	if code, _, stderr := command(t, "keys", "generate", "--type", "ec", path); code != 0 {
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
		t.Errorf("got %d keys, %v, want 11", len(s.Keys), err)
	}
}
