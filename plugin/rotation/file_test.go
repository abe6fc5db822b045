package rotation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/plugin/jws"
)

// create writes a new key file and returns its path.
func create(t *testing.T) string {
	t.Helper()
	text, err := Generate("ec", start)
	must(t, err)
	path := filepath.Join(t.TempDir(), "keys.json")
	must(t, Create(path, text))
	return path
}

func addKey(s *Set) error { _, err := s.Add("", start); return err }

func refuse(*Set) error { return errors.New("no") }

func TestCreateNeverOverwrites(t *testing.T) {
	path := create(t)
	err := Create(path, []byte("x"))
	if !errors.Is(err, fs.ErrExist) || !strings.HasPrefix(err.Error(), path+": file already exists") {
		t.Errorf("Create of an existing file = %v, want that it exists", err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}

// TestUpdateKeepsLinks: the file that a link leads to is replaced, not the link.
func TestUpdateKeepsLinks(t *testing.T) {
	path := create(t)
	link := filepath.Join(filepath.Dir(path), "link.json")
	must(t, os.Symlink("keys.json", link))
	must(t, Update(link, addKey))
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v", err)
	}
	if s, err := Load(path); err != nil || len(s.Keys) != 2 {
		t.Errorf("Load = %+v, %v, want two keys", s, err)
	}
}

// TestLeftovers: a command removes what killed runs left, and nothing else. One
// that is refused keeps the file.
func TestLeftovers(t *testing.T) {
	for name, tt := range map[string]struct {
		run     func(path string) error
		refused bool
	}{
		"a step":                {func(path string) error { return Update(path, addKey) }, false},
		"a refused step":        {func(path string) error { return Update(path, refuse) }, true},
		"rotate without a step": {func(path string) error { _, _, err := Rotate(path, DefaultPolicy, start); return err }, false},
		"generate refused":      {func(path string) error { return Create(path, []byte("x")) }, true},
		"generate":              {func(path string) error { return errors.Join(os.Remove(path), Create(path, []byte("x"))) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := create(t)
			dir := filepath.Dir(path)
			for _, stray := range []string{".keys.json.new-123", ".keys.json.new-mine", ".other.json.new-123", "keys.json.new-123"} {
				must(t, os.WriteFile(filepath.Join(dir, stray), nil, 0o600))
			}
			before, err := os.ReadFile(path)
			must(t, err)
			if err := tt.run(path); (err != nil) != tt.refused {
				t.Errorf("got %v, want an error: %v", err, tt.refused)
			}
			if after, err := os.ReadFile(path); tt.refused && (err != nil || string(after) != string(before)) {
				t.Errorf("the file was changed: %v", err)
			}
			var names []string
			entries, err := os.ReadDir(dir)
			must(t, err)
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if got, want := strings.Join(names, " "), ".keys.json.new-mine .other.json.new-123 keys.json keys.json.new-123"; got != want {
				t.Errorf("left %s, want %s", got, want)
			}
		})
	}
}

// TestRotateWithoutAStep leaves the file alone, bytes and time: the time may
// be all that is known of a key.
func TestRotateWithoutAStep(t *testing.T) {
	path := create(t)
	past := time.Unix(1_700_000_000, 0)
	must(t, os.Chtimes(path, past, past))
	before, err := os.Stat(path)
	must(t, err)
	taken, next, err := Rotate(path, DefaultPolicy, start)
	if err != nil || taken != nil || next.Verb != "add" {
		t.Errorf("Rotate = %v, %v, %v, want no step and add", taken, next, err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(past) {
		t.Errorf("the file was touched: %v", err)
	}
}

// TestReadersAreKept: a Kong that could read the file can after a step. Its
// owner is kept, and its group if that may read a file of root's.
func TestReadersAreKept(t *testing.T) {
	tests := []struct {
		uid, gid     int
		before, want fs.FileMode
	}{
		{os.Getuid(), os.Getgid(), 0o644, 0o600},
		{1234, 1235, 0o600, 0o600},
		{1234, 1235, 0o640, 0o600}, // the owner is who reads
		{0, 1235, 0o640, 0o640},
		{0, 1235, 0o440, 0o640},
		{0, 1235, 0o600, 0o600},
		{0, 1235, 0o644, 0o640},
		{0, 1235, 0o660, 0o640},
		{0, 0, 0o640, 0o600}, // nobody else is in root's group
	}
	if os.Geteuid() != 0 {
		t.Log("only root can give files away")
		tests = tests[:1]
	}
	for _, tt := range tests {
		path := create(t)
		must(t, errors.Join(os.Chown(path, tt.uid, tt.gid), os.Chmod(path, tt.before)))
		must(t, Update(path, addKey))
		info, err := os.Stat(path)
		must(t, err)
		stat := info.Sys().(*syscall.Stat_t)
		if int(stat.Uid) != tt.uid || int(stat.Gid) != tt.gid || info.Mode().Perm() != tt.want {
			t.Errorf("after a step, %d:%d with mode %v is %d:%d with mode %v, want mode %v", tt.uid, tt.gid, tt.before, stat.Uid, stat.Gid, info.Mode(), tt.want)
		}
	}
}

// TestPEM: a PEM file can be read, but has no place for the times of steps.
// TestMark: a key file may begin with a byte order mark. A step writes it without.
func TestMark(t *testing.T) {
	path := create(t)
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append([]byte("\ufeff"), text...), 0o600))
	must(t, Update(path, addKey))
	text, err = os.ReadFile(path)
	must(t, err)
	if s, err := Load(path); err != nil || len(s.Keys) != 2 || text[0] != '{' {
		t.Errorf("Load = %+v, %v, want two keys in a file that begins with a brace, not %q", s, err, text[:1])
	}
}

func TestPEM(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	path := filepath.Join(t.TempDir(), "keys.pem")
	must(t, Create(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	s, err := Load(path)
	must(t, err)
	if len(s.Keys) != 1 || s.Keys[0].Role != Signing || len(s.Public()) == 0 {
		t.Errorf("Load = %+v, want one key that signs", s)
	}
	_, _, ahead := s.Rotate(DefaultPolicy, start)
	_, _, due := s.Rotate(DefaultPolicy, s.Keys[0].Signing.Add(DefaultPolicy.Every))
	_, _, file := Rotate(path, DefaultPolicy, start)
	for what, tt := range map[string]struct{ err, want error }{
		"a step":             {Update(path, func(*Set) error { return nil }), errPEM},
		"to rotate the file": {file, errPEM},
		"to see what is due": {ahead, nil},
		"a step that is due": {due, errPEM},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", what, tt.err, tt.want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	path := create(t)
	must(t, os.WriteFile(path, []byte(strings.Repeat(" ", jws.MaxRingSize+1)), 0o600))
	for _, path := range []string{path, "/dev/zero"} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("Load(%s) = %v, want that it is too large", path, err)
		}
	}
}

// TestFullRing: a step whose result gateways would refuse isn't taken.
func TestFullRing(t *testing.T) {
	path := create(t)
	var err error
	for i := 0; i < 60 && err == nil; i++ {
		err = Update(path, addKey)
	}
	if err == nil || !strings.Contains(err.Error(), "gateways would refuse") {
		t.Errorf("Update = %v, want that gateways would refuse the result", err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}

// TestLockTimeout: another command that hangs holds up a command for lockTimeout,
// and no longer.
func TestLockTimeout(t *testing.T) {
	path := create(t)
	unlock, err := lock(path)
	must(t, err)
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		err := Update(path, addKey)
		if err == nil || !strings.Contains(err.Error(), "another keys command") {
			t.Errorf("Update = %v, want that the directory is locked", err)
		}
		if waited := time.Since(started); waited < lockTimeout || waited > lockTimeout+time.Second {
			t.Errorf("waited %v, want %v", waited, lockTimeout)
		}
	})
	unlock()
	must(t, Update(path, addKey))
}
