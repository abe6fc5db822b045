package rotation

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/plugin/jws"
)

// create writes a new key file and returns its path.
func create(t *testing.T) string {
	t.Helper()
	text, err := Generate("ec", start)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := Create(path, text); err != nil {
		t.Fatal(err)
	}
	return path
}

func addKey(s *Set) error { _, err := s.Add("", start); return err }

// TestLeftovers: a command removes what killed runs left, and nothing else.
func TestLeftovers(t *testing.T) {
	for name, run := range map[string]func(path string) error{
		"a step": func(path string) error { return Update(path, addKey) },
		"a refused step": func(path string) error {
			return ignore(Update(path, func(*Set) error { return errors.New("no") }))
		},
		"rotate without a step": func(path string) error { _, _, err := Rotate(path, DefaultPolicy, start); return err },
		"generate refused":      func(path string) error { return ignore(Create(path, []byte("x"))) },
		"generate": func(path string) error {
			return errors.Join(os.Remove(path), Create(path, []byte("x")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := create(t)
			dir := filepath.Dir(path)
			for _, stray := range []string{".keys.json.new-123", ".keys.json.new-mine", ".other.json.new-123", "keys.json.new-123"} {
				if err := os.WriteFile(filepath.Join(dir, stray), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := run(path); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if got := strings.Join(names, " "); got != ".keys.json.new-mine .other.json.new-123 keys.json keys.json.new-123" {
				t.Errorf("left %s", got)
			}
		})
	}
}

// ignore is for a command that is meant to be refused.
func ignore(err error) error {
	if err == nil {
		return errors.New("not refused")
	}
	return nil
}

func TestCreateNeverOverwrites(t *testing.T) {
	path := create(t)
	err := Create(path, []byte("x"))
	if !errors.Is(err, fs.ErrExist) || !strings.HasPrefix(err.Error(), path+": file already exists") {
		t.Errorf("got %v", err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}

// TestRotateWithoutAStep leaves the file alone, bytes and time: the time may
// be all that is known of a key.
func TestRotateWithoutAStep(t *testing.T) {
	path := create(t)
	past := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	taken, next, err := Rotate(path, DefaultPolicy, start)
	if err != nil || taken != nil || next.Verb != "add" {
		t.Errorf("took %v, next %v: %v", taken, next, err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(past) {
		t.Errorf("the file was touched: %v", err)
	}
	taken, next, err = Rotate(path, DefaultPolicy, start.Add(DefaultPolicy.Every))
	if err != nil || taken == nil || taken.Verb != "add" || next.Verb != "promote" {
		t.Errorf("took %v, next %v: %v", taken, next, err)
	}
}

// TestMode: a step closes a file that others could read.
func TestMode(t *testing.T) {
	path := create(t)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Update(path, addKey); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
}

func TestTooLarge(t *testing.T) {
	path := create(t)
	if err := os.WriteFile(path, []byte(strings.Repeat(" ", jws.MaxRingSize+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, "/dev/zero"} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestFullRing: a step whose result gateways would refuse isn't taken.
func TestFullRing(t *testing.T) {
	path := create(t)
	var err error
	for range 60 {
		if err = Update(path, addKey); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "gateways would refuse") {
		t.Errorf("got %v", err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}

// TestLockIsWaitedForInVain: another run that hangs holds up a command for
// lockTimeout, and no longer.
func TestLockIsWaitedForInVain(t *testing.T) {
	path := create(t)
	unlock, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		err := Update(path, addKey)
		if err == nil || !strings.Contains(err.Error(), "another keys command") {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begun); waited < lockTimeout || waited > lockTimeout+time.Second {
			t.Errorf("waited %v", waited)
		}
	})
	unlock()
	if err := Update(path, addKey); err != nil {
		t.Error(err)
	}
}
