package audit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// line writes one line.
func (f *file) line(t *testing.T, text string) {
	t.Helper()
	if n, err := f.write([]byte(text + "\n")); n != 1 || err != nil {
		t.Fatalf("write = %d, %v, want 1 line", n, err)
	}
}

func newFile(t *testing.T, maxSize int64) *file {
	t.Helper()
	return fileAt(t, filepath.Join(t.TempDir(), "audit.log"), maxSize)
}

func fileAt(t *testing.T, path string, maxSize int64) *file {
	t.Helper()
	f := &file{path: path, maxSize: maxSize}
	t.Cleanup(func() { f.close() })
	return f
}

// want fails unless the previous file and the present one have those lines.
func (f *file) want(t *testing.T, previous, present string) {
	t.Helper()
	got := []string{"", ""}
	for i, path := range []string{f.path + ".1", f.path} {
		if _, err := os.Stat(path); err == nil {
			got[i] = strings.Join(lines(t, path), " ")
		}
	}
	if got[0] != previous || got[1] != present {
		t.Errorf("the files have %q, want %q and %q", got, previous, present)
	}
}

// TestRotation: the file moves before it gets too large. A line that fits no file
// has one of its own, and no empty file is kept.
func TestRotation(t *testing.T) {
	f := newFile(t, 10)
	f.line(t, "long line that fits no file")
	f.want(t, "", "long line that fits no file")
	for n := range 10 {
		f.line(t, fmt.Sprint(100+n)) // 4 bytes: two fit
	}
	f.want(t, "106 107", "108 109")
}

// TestFollowsARotation: what another process rotated isn't rotated again.
func TestFollowsARotation(t *testing.T) {
	one := newFile(t, 10)
	two := fileAt(t, one.path, one.maxSize)
	one.line(t, "one")
	two.line(t, "two")
	two.line(t, "three")
	if err := one.rotate(); err != nil { // it was about to
		t.Fatal(err)
	}
	one.line(t, "1")
	one.want(t, "one two", "three 1")
}

// TestTwoProcesses: as at a reload, two processes write one file. One of them
// rotates it, and every line is there once.
func TestTwoProcesses(t *testing.T) {
	const rounds, count = 100, 10
	for range rounds {
		one := newFile(t, count*int64(len("one-0\n"))*3/2) // it is rotated once
		two := fileAt(t, one.path, one.maxSize)
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
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Fatal(err)
		}
		got := lines(t, one.path+".1", one.path)
		slices.Sort(got)
		if distinct := slices.Compact(slices.Clone(got)); len(got) != 2*count || len(distinct) != 2*count {
			t.Fatalf("%d lines, %d of them distinct, want %d: %q", len(got), len(distinct), 2*count, got)
		}
	}
}

// TestMovedAway: logrotate may move the file, too.
func TestMovedAway(t *testing.T) {
	f := newFile(t, 1<<20)
	f.line(t, "before")
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		t.Fatal(err)
	}
	f.line(t, "after")
	f.want(t, "before", "after")
}

// TestTornLine: after a write that ended in the middle of a line, which isn't
// counted, the next begins a new one.
func TestTornLine(t *testing.T) {
	if !alone(t) {
		return
	}
	f := newFile(t, 1<<20)
	f.line(t, "whole")
	limit := limitFiles(t, 14)
	if n, err := f.write([]byte("fits\ntorn\nnothing\n")); n != 1 || err == nil {
		t.Errorf("write = %d lines, %v", n, err)
	}
	if n, err := f.write([]byte("nothing\n")); n != 0 || err == nil {
		t.Errorf("write = %d lines, %v", n, err)
	}
	limit()
	f.line(t, "next")
	f.line(t, "last")
	f.want(t, "", "whole fits tor next last")
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
	f := fileAt(t, full, 1<<20)
	for range 2 {
		if n, err := f.write([]byte("x\n")); n != 0 || err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%d lines, error %v", n, err)
		}
	}
}

// TestRotationFails: the file grows, no line is lost, and the error says why.
func TestRotationFails(t *testing.T) {
	f := newFile(t, 10)
	if err := os.Mkdir(f.path+".1", 0o700); err != nil { // a file can't replace it
		t.Fatal(err)
	}
	f.line(t, "12345678")
	if n, err := f.write([]byte("x\n")); n != 1 || err == nil || !strings.Contains(err.Error(), "rotate the audit log") {
		t.Fatalf("write = %d, %v, want 1 line and why it isn't rotated", n, err)
	}
	if err := os.Remove(f.path + ".1"); err != nil {
		t.Fatal(err)
	}
	f.line(t, "y")
	f.want(t, "12345678 x", "y")
}

// TestLockedByAnother: while another process rotates, the file takes lines.
func TestLockedByAnother(t *testing.T) {
	f := newFile(t, 10)
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
	f.want(t, "", "12345678 x")
}
