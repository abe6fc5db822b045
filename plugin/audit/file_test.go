package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write writes one line.
func (f *file) line(t *testing.T, text string) {
	t.Helper()
	if err := f.write([]byte(text + "\n")); err != nil {
		t.Fatal(err)
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
				err = f.write(fmt.Appendf(nil, "%s-%d\n", name, n))
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

// TestTornLine: after a write that ended in the middle of a line, the next
// begins a new one.
func TestTornLine(t *testing.T) {
	f := newFile(t, 1<<20, 1)
	f.line(t, "whole")
	if _, err := f.open.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	f.torn = true
	f.line(t, "next")
	f.line(t, "last")
	if got := strings.Join(lines(t, f.path), " "); got != "whole half next last" {
		t.Errorf("the file has %s", got)
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
		if err := f.write([]byte("x\n")); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("error %v", err)
		}
	}
}

// TestRotationFails: the directory takes no new name.
func TestRotationFails(t *testing.T) {
	f := newFile(t, 10, 1)
	if err := os.Mkdir(f.numbered(1), 0o700); err != nil { // a file can't replace it
		t.Fatal(err)
	}
	f.line(t, "12345678")
	if err := f.write([]byte("x\n")); err == nil {
		t.Fatal("it was written")
	}
	if err := os.Remove(f.numbered(1)); err != nil {
		t.Fatal(err)
	}
	f.line(t, "x")
	if got := strings.Join(lines(t, f.numbered(1), f.path), " "); got != "12345678 x" {
		t.Errorf("the files have %s", got)
	}
}
