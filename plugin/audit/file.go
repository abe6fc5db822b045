package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// file is appended to and rotated. At a reload two processes have it open: each
// append is one write at the file's end, one of them rotates, and the other
// follows. It follows a rotation by anybody else, too. Not for concurrent use.
type file struct {
	path    string
	maxSize int64
	keep    int // rotated ones
	open    *os.File
	torn    bool // the last write left a part of a line
}

// write appends lines, in one piece.
func (f *file) write(lines []byte) error {
	if err := f.ready(); err != nil {
		return err
	}
	info, err := f.open.Stat()
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	if info.Size() > 0 && info.Size()+int64(len(lines)) > f.maxSize {
		if err := f.rotate(); err != nil {
			return fmt.Errorf("rotate the audit log: %w", err)
		}
	}
	if f.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := f.open.Write(lines)
	if err != nil {
		f.torn = f.torn || n > 0
		return fmt.Errorf("write the audit log: %w", err)
	}
	f.torn = false
	return nil
}

// ready opens the file that is at path, unless that is the one already open.
func (f *file) ready() error {
	if f.current() {
		return nil
	}
	_ = f.close() // whoever moved it has all of it
	opened, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	f.open, f.torn = opened, false
	return nil
}

// current tells whether the open file is the one at path.
func (f *file) current() bool {
	if f.open == nil {
		return false
	}
	ours, err := f.open.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(f.path)
	return err == nil && os.SameFile(ours, there)
}

// rotate moves the file to path.1, and each older one to the next number, and
// opens a new one. While another process does that, the file stays as it is.
func (f *file) rotate() error {
	if syscall.Flock(int(f.open.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil
	}
	locked := f.open
	defer locked.Close() // unlocks it
	mine := f.current()
	f.open = nil
	for n := f.keep; mine && n > 0; n-- { // unless another process was faster
		newer := f.path
		if n > 1 {
			newer = f.numbered(n - 1)
		}
		if err := os.Rename(newer, f.numbered(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return f.ready()
}

func (f *file) numbered(n int) string { return fmt.Sprintf("%s.%d", f.path, n) }

func (f *file) close() error {
	if f.open == nil {
		return nil
	}
	err := f.open.Close()
	f.open = nil
	return err
}
