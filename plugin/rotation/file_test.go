package rotation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

func TestOwnerIsKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	text, err := Generate("ec", start)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Create(path, text), os.Chown(path, 1234, 1235)); err != nil {
		t.Fatal(err)
	}
	if err := Update(path, func(s *Set) error { _, err := s.Add("", start); return err }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v", info.Sys()); !strings.Contains(got, "1234 1235") || info.Mode().Perm() != 0o600 {
		t.Errorf("owner %s, mode %v", got, info.Mode())
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
