package jws

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestExposure is PostgreSQL's rule: nothing for group and others of what the
// user owns, reading for the group of what is root's.
func TestExposure(t *testing.T) {
	const root, kong, another = 0, 1000, 1001
	for name, tt := range map[string]struct {
		mode        fs.FileMode
		owner, user int
		exposed     bool
	}{
		"as generate makes it":          {0o600, kong, kong, false},
		"for reading only":              {0o400, kong, kong, false},
		"the user's group":              {0o640, kong, kong, true},
		"a Secret of a pod":             {0o440, root, kong, false},
		"root's, the group reads":       {0o640, root, kong, false},
		"root's, the group writes":      {0o660, root, kong, true},
		"root's, the group executes":    {0o650, root, kong, true},
		"root's, others read":           {0o444, root, kong, true},
		"root's, others write":          {0o642, root, kong, true},
		"another's, read by the group":  {0o640, another, kong, true},
		"another's, read by everybody":  {0o604, another, kong, true},
		"root as the user, its own":     {0o600, root, root, false},
		"root as the user, a group":     {0o640, root, root, true},
		"root reads what is kong's":     {0o600, kong, root, false},
		"bits that aren't permissions":  {0o600 | fs.ModeSetgid | fs.ModeSymlink, kong, kong, false},
		"root's, and no permission bit": {0, root, kong, false},
	} {
		if got := isExposed(tt.mode, tt.owner, tt.user); got != tt.exposed {
			t.Errorf("%s: exposed %v, want %v", name, got, tt.exposed)
		}
	}
}

// keyFileOfTest names the file for the process that TestKeyFileOfRoot starts.
const keyFileOfTest = "M2M_KEY_FILE_OF_TEST"

// TestKeyFileOfRoot reads files that are root's as another user, who is in their
// group: as Kubernetes mounts a Secret. Only root can make them.
func TestKeyFileOfRoot(t *testing.T) {
	if path := os.Getenv(keyFileOfTest); path != "" {
		f := NewKeyFile(path, "", time.Now)
		if _, err := f.Ring(context.Background()); err != nil {
			t.Fatal(err)
		}
		t.Logf("warning: %v", f.Warning(context.Background()))
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "m2m-key-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for mode, warns := range map[fs.FileMode]bool{0o440: false, 0o640: false, 0o660: true, 0o444: true} {
		path := filepath.Join(dir, mode.String())
		if err := os.WriteFile(path, []byte(set(t, private(ecKey()))), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 0, nobody); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		again := exec.Command("/proc/self/exe", "-test.run=^TestKeyFileOfRoot$", "-test.v")
		again.Dir, again.Env = "/", append(os.Environ(), keyFileOfTest+"="+path, "GORACE=atexit_sleep_ms=0")
		again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := again.CombinedOutput()
		if err != nil {
			t.Fatalf("mode %v: the other user's process: %v: %s", mode, err, out)
		}
		if calm := strings.Contains(string(out), "warning: <nil>"); calm == warns {
			t.Errorf("mode %v: want a warning: %t, got %s", mode, warns, out)
		}
	}
}
