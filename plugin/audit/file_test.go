package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// write writes one line.
func (f *file) line(t *testing.T, text string) {
	t.Helper()
	if n, err := f.write([]byte(text + "\n")); n != 1 || err != nil {
		t.Fatalf("%d lines: %v", n, err)
	}
}

func newFile(t *testing.T, maxSize int64, keep int) *file {
	t.Helper()
	f := &file{path: filepath.Join(t.TempDir(), "audit.log"), maxSize: maxSize, keep: keep}
	t.Cleanup(func() { f.close() })
	return f
}

func TestRotation(t *testing.T) {
	f := newFile(t, 10, 2)
	for n := range 10 {
		f.line(t, fmt.Sprint(100+n)) // 4 bytes: two fit
	}
	got := strings.Join(lines(t, f.numbered(2), f.numbered(1), f.path), " ")
	if got != "104 105 106 107 108 109" {
		t.Errorf("the files have %s", got)
	}
	if _, err := os.Stat(f.numbered(3)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a third is kept: %v", err)
	}
}

// TestLongLine: what fits no file has one of its own, and no empty one is kept.
func TestLongLine(t *testing.T) {
	f := newFile(t, 4, 2)
	f.line(t, "long line")
	if _, err := os.Stat(f.numbered(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty file is kept: %v", err)
	}
}

// TestFollowsARotation: what another process rotated isn't rotated again.
func TestFollowsARotation(t *testing.T) {
	one := newFile(t, 10, 3)
	two := &file{path: one.path, maxSize: one.maxSize, keep: one.keep}
	defer two.close()
	one.line(t, "one")
	two.line(t, "two")
	two.line(t, "three")
	if err := one.rotate(); err != nil { // it was about to
		t.Fatal(err)
	}
	one.line(t, "1")
	if got := strings.Join(lines(t, one.path), " "); got != "three 1" {
		t.Errorf("the file has %s", got)
	}
}

// TestTwoProcesses: as at a reload, both write and rotate one file, and every
// line stays whole and where it belongs.
func TestTwoProcesses(t *testing.T) {
	one := newFile(t, 64, 1000)
	two := &file{path: one.path, maxSize: one.maxSize, keep: one.keep}
	defer two.close()
	const count = 500
	ended := make(chan error, 2)
	for name, f := range map[string]*file{"one": one, "two": two} {
		go func() {
			var err error
			for n := 0; n < count && err == nil; n++ {
				_, err = f.write(fmt.Appendf(nil, "%s-%d\n", name, n))
			}
			ended <- err
		}()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	paths, err := filepath.Glob(one.path + "*")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, line := range lines(t, paths...) {
		seen[line]++
	}
	for _, name := range []string{"one", "two"} {
		for n := range count {
			if line := fmt.Sprintf("%s-%d", name, n); seen[line] != 1 {
				t.Fatalf("%s is there %d times in %d files", line, seen[line], len(paths))
			}
		}
	}
	if len(paths) < 10 {
		t.Errorf("%d files: it hardly rotated", len(paths))
	}
}

// TestMovedAway: what rotates logs on the host may do it, too.
func TestMovedAway(t *testing.T) {
	f := newFile(t, 1<<20, 1)
	f.line(t, "before")
	if err := os.Rename(f.path, f.path+".moved"); err != nil {
		t.Fatal(err)
	}
	f.line(t, "after")
	if got := strings.Join(lines(t, f.path+".moved", f.path), " "); got != "before after" {
		t.Errorf("the files have %s", got)
	}
}

// TestTornLine: after a write that ended in the middle of a line, which isn't
// counted, the next begins a new one.
func TestTornLine(t *testing.T) {
	if !alone(t) {
		return
	}
	f := newFile(t, 1<<20, 1)
	f.line(t, "whole")
	limit := limitFiles(t, 14)
	if n, err := f.write([]byte("fits\ntorn\nnothing\n")); n != 1 || err == nil {
		t.Errorf("%d lines are written: %v", n, err)
	}
	if n, err := f.write([]byte("nothing\n")); n != 0 || err == nil {
		t.Errorf("%d lines are written: %v", n, err)
	}
	limit()
	f.line(t, "next")
	f.line(t, "last")
	if got := strings.Join(lines(t, f.path), " "); got != "whole fits tor next last" {
		t.Errorf("the file has %s", got)
	}
}

// aloneVariable names the test that a process is for.
const aloneVariable = "M2M_TEST_ALONE"

// alone runs the test in a process of its own, in which it returns true: a limit
// of the process is also one of what go test itself writes.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneVariable) == t.Name() {
		return true
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), aloneVariable+"="+t.Name())
	out, err := again.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %s", err, out)
	}
	return false
}

// limitFiles makes files end at size, as a full disk does, until the function
// that it returns is called. The test must be alone.
func limitFiles(t *testing.T, size uint64) (end func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // the error says it
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limited := before
	limited.Cur = size
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDisk: an error leaves the file usable.
func TestFullDisk(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip(err)
	}
	f := &file{path: full, maxSize: 1 << 20, keep: 1}
	defer f.close()
	for range 2 {
		if n, err := f.write([]byte("x\n")); n != 0 || err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%d lines, error %v", n, err)
		}
	}
}

// TestRotationFails: the directory takes no new name. Nothing is lost, and the
// error says it.
func TestRotationFails(t *testing.T) {
	f := newFile(t, 10, 1)
	if err := os.Mkdir(f.numbered(1), 0o700); err != nil { // a file can't replace it
		t.Fatal(err)
	}
	f.line(t, "12345678")
	if n, err := f.write([]byte("x\n")); n != 1 || err == nil || !strings.Contains(err.Error(), "rotate the audit log") {
		t.Fatalf("%d lines, error %v", n, err)
	}
	if err := os.Remove(f.numbered(1)); err != nil {
		t.Fatal(err)
	}
	f.line(t, "y")
	if got := strings.Join(lines(t, f.numbered(1), f.path), " "); got != "12345678 x y" {
		t.Errorf("the files have %s", got)
	}
}

// TestLockedByAnother: who else holds the lock rotates; the file takes lines
// meanwhile.
func TestLockedByAnother(t *testing.T) {
	f := newFile(t, 10, 1)
	f.line(t, "12345678")
	other, err := os.Open(f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	f.line(t, "x")
	if got := strings.Join(lines(t, f.path), " "); got != "12345678 x" {
		t.Errorf("the file has %s", got)
	}
}
