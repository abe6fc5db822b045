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
	"syscall"
	"testing"
)

func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "keys.json"), filepath.Join(dir, "link.json")
	text, err := Generate("ec", start)
	if err != nil {
		t.Fatal(err)
	}
	if err := Create(path, text); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, text); !errors.Is(err, os.ErrExist) {
		t.Errorf("an existing file: %v", err)
	}
	if err := os.Symlink("keys.json", link); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(dir, ".keys.json.new-123")
	if err := os.WriteFile(stray, text, 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(s *Set) error { _, err := s.Add("", start); return err }
	if err := Update(link, add); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v", err)
	}
	if _, err := os.Stat(stray); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed run left is still there: %v", err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Update(path, func(s *Set) error { return errors.New("no") }); err == nil {
		t.Error("a refused step")
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("a refused step changed the file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left %v: %v", entries, err)
	}
	if s, err := Load(path); err != nil || len(s.Keys) != 2 {
		t.Errorf("got %v", err)
	}
}

// TestReadersAreKept: a Kong that could read the file can after a step. Its
// owner is kept, and its group where that may read what is root's.
func TestReadersAreKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	for _, tt := range []struct {
		uid, gid     uint32
		before, want fs.FileMode
	}{
		{1234, 1235, 0o600, 0o600},
		{1234, 1235, 0o640, 0o600}, // the owner is who reads
		{0, 1235, 0o640, 0o640},
		{0, 1235, 0o440, 0o640},
		{0, 1235, 0o600, 0o600},
		{0, 1235, 0o644, 0o640},
		{0, 1235, 0o660, 0o640},
		{0, 0, 0o640, 0o600}, // nobody else is in root's group
	} {
		path := create(t)
		if err := errors.Join(os.Chown(path, int(tt.uid), int(tt.gid)), os.Chmod(path, tt.before)); err != nil {
			t.Fatal(err)
		}
		if err := Update(path, addKey); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		if stat.Uid != tt.uid || stat.Gid != tt.gid || info.Mode().Perm() != tt.want {
			t.Errorf("%d:%d, mode %v: %d:%d, mode %v, want %v", tt.uid, tt.gid, tt.before, stat.Uid, stat.Gid, info.Mode(), tt.want)
		}
	}
}

// TestPEM: a PEM file can be read, but has no place for the times of steps.
func TestPEM(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.pem")
	if err := Create(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		t.Fatal(err)
	}
	s, err := Load(path)
	if err != nil || len(s.Keys) != 1 || s.Keys[0].Role != Signing || len(s.Public()) == 0 {
		t.Errorf("got %+v: %v", s, err)
	}
	if err := Update(path, func(*Set) error { return nil }); !errors.Is(err, errPEM) {
		t.Errorf("a step: %v", err)
	}
	if _, _, err := Rotate(path, DefaultPolicy, start); !errors.Is(err, errPEM) {
		t.Errorf("to rotate: %v", err)
	}
	if _, _, err := s.Rotate(DefaultPolicy, start); err != nil {
		t.Errorf("to see what is due: %v", err)
	}
	if _, _, err := s.Rotate(DefaultPolicy, s.Keys[0].Signing.Add(DefaultPolicy.Every)); !errors.Is(err, errPEM) {
		t.Errorf("a step that is due: %v", err)
	}
}
