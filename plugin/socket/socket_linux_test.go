package socket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// withoutUmask takes the umask away, as Kong does from the processes that it
// starts. It is the process's: no test that calls this may be parallel.
func withoutUmask(t *testing.T) {
	t.Helper()
	before := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(before) })
}

// passable returns a short directory that every user can pass through, unlike
// t.TempDir.
func passable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m2m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// TestSocketMode: the mode is what it must be, whatever umask the process
// inherits, and nothing else stays in the directory.
func TestSocketMode(t *testing.T) {
	for _, tt := range []struct {
		name  string
		umask int
		open  func(path string) (net.Listener, error)
		want  os.FileMode
	}{
		{"Kong's", 0, func(path string) (net.Listener, error) { return Listen(path, nil, nil) }, 0o600},
		{"Kong's, of another user", 0o077, func(path string) (net.Listener, error) { return Listen(path, []uint32{stranger}, nil) }, 0o666},
		{"the metrics'", 0, func(path string) (net.Listener, error) { return ListenAt(path, nil, nil) }, 0o600},
		{"the metrics', of another user", 0o077, func(path string) (net.Listener, error) { return ListenAt(path, []uint32{stranger}, nil) }, 0o666},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer syscall.Umask(syscall.Umask(tt.umask))
			path := filepath.Join(passable(t), "s")
			listener, err := tt.open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			if got := mode(t, path); got != tt.want {
				t.Errorf("mode %v, want %v", got, tt.want)
			}
			if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
				t.Errorf("the directory has %v: %v", entries, err)
			}
		})
	}
}

// TestSocketBeforeItHasItsMode: the socket is bound where nobody else can reach it.
func TestSocketBeforeItHasItsMode(t *testing.T) {
	withoutUmask(t)
	dir, err := privateDirectory(passable(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := mode(t, dir); got != 0o700 {
		t.Errorf("mode %v, want 0700", got)
	}
}

// TestSocketIsNeverOpen: another user connects to whatever is in the directory
// while sockets are made there, and never gets through.
func TestSocketIsNeverOpen(t *testing.T) {
	needsRoot(t)
	withoutUmask(t)
	path := filepath.Join(passable(t), "m2m-token-enricher.socket")
	stop := make(chan struct{})
	tried, reached := 0, ""
	done := asUser(stranger, func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, pattern := range []string{"*.socket", ".*", ".*/*"} {
				found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), pattern))
				for _, candidate := range found {
					tried++
					if conn, err := connect(candidate); err == nil {
						reached = candidate
						conn.Close()
					}
				}
			}
		}
	})
	for range 300 {
		listener, err := Listen(path, nil, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
	}
	close(stop)
	if err := <-done; err != nil || tried == 0 {
		t.Errorf("%d tries: %v", tried, err)
	}
	if reached != "" {
		t.Errorf("a stranger connected to %s", reached)
	}
}

// TestSocketLeftovers: what a process left that was killed while it made its
// socket is removed, and what another one is making stays.
func TestSocketLeftovers(t *testing.T) {
	dir := passable(t)
	making := func() string {
		made, err := privateDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("unix", filepath.Join(made, unnamed))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		return made
	}
	left, young := making(), making()
	old := time.Now().Add(-2 * leftoverAge)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, ".cache")
	if err := errors.Join(os.Mkdir(foreign, 0o700), os.Chtimes(foreign, old, old)); err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(filepath.Join(dir, "s"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old one is still there: %v", err)
	}
	for _, path := range []string{young, foreign} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

// TestSocketPathLimit: a path of 107 bytes can be listened at, also if its name
// is as short as the one that the socket is bound by, and a longer one is refused.
func TestSocketPathLimit(t *testing.T) {
	base := passable(t)
	for _, name := range []string{"m2m-token-enricher.socket", "9bytes.so"} {
		dir := filepath.Join(base, strings.Repeat("d", socketPathLimit-len(base)-len(name)-2))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		listener, err := Listen(filepath.Join(dir, name), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer listener.Close()
		conn, err := net.Dial("unix", filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		conn.Close()
		if _, err := Listen(filepath.Join(dir, name+"s"), nil, nil); err == nil || !strings.Contains(err.Error(), "at most 107 bytes") {
			t.Errorf("one byte more: %v", err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("the directory has %v: %v", entries, err)
		}
	}
}

// TestSocketOfAnother: a new process takes over the path in one step, and the old one
// keeps its connections.
func TestSocketOfAnother(t *testing.T) {
	path := filepath.Join(passable(t), "s")
	listen := func() net.Listener {
		l, err := Listen(path, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	connectTo := func(l net.Listener) (ours, theirs net.Conn) {
		ours, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ours.Close() })
		if err := l.(*listener).SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if theirs, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { theirs.Close() })
		return ours, theirs
	}
	before := listen()
	ours, theirs := connectTo(before)
	after := listen()
	connectTo(after)
	if _, err := ours.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := theirs.Read(make([]byte, 2)); err != nil || n != 1 {
		t.Errorf("the previous connection: read %d bytes, %v, want 1", n, err)
	}
	before.Close()
	connectTo(after)
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v: %v", entries, err)
	}
}
