package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// file is appended to and rotated. At a reload two processes have it open: each
// append is one write at the file's end, one of them rotates, and the other
// follows. It also follows when anybody else moves the file. Not for concurrent
// use.
type file struct {
	path    string
	maxSize int64
	open    *os.File
	torn    bool // the last write left a part of a line
}

// write appends lines in one piece and returns how many of them are whole in the
// file. If it can't rotate the file, it reports that and lets the file grow.
func (f *file) write(lines []byte) (written int, err error) {
	if err := f.ready(); err != nil {
		return 0, err
	}
	notRotated := f.makeRoom(len(lines))
	if f.open == nil {
		return 0, notRotated
	}
	text := lines
	if f.torn {
		text = append([]byte{'\n'}, lines...)
	}
	n, err := f.open.Write(text)
	if err != nil {
		whole := text[:n]
		f.torn = n > 0 && whole[n-1] != '\n' || n == 0 && f.torn
		return max(0, bytes.Count(whole, []byte{'\n'})-(len(text)-len(lines))), fmt.Errorf("write the audit log: %w", err)
	}
	f.torn = false
	return bytes.Count(lines, []byte{'\n'}), notRotated
}

// ready opens the file at path, unless that is the open one.
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

// current reports whether the open file is the one at path.
func (f *file) current() bool {
	if f.open == nil {
		return false
	}
	ours, err := f.open.Stat()
	if err != nil {
		return false
	}
	atPath, err := os.Stat(f.path)
	return err == nil && os.SameFile(ours, atPath)
}

// makeRoom rotates the file if more bytes would make it too large.
func (f *file) makeRoom(more int) error {
	info, err := f.open.Stat()
	if err == nil && info.Size() > 0 && info.Size()+int64(more) > f.maxSize {
		err = f.rotate()
	}
	if err != nil {
		return fmt.Errorf("rotate the audit log: %w", err)
	}
	return nil
}

// rotate moves the file to path.1, in place of the previous one, and opens a new
// one. While another process rotates it, the file stays as it is.
func (f *file) rotate() error {
	if errors.Is(syscall.Flock(int(f.open.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		return nil
	}
	locked := f.open
	defer locked.Close() // unlocks it
	var failure error
	if f.current() { // otherwise another process was faster
		failure = os.Rename(f.path, f.path+".1")
	}
	f.open = nil
	return errors.Join(failure, f.ready())
}

func (f *file) close() error {
	if f.open == nil {
		return nil
	}
	err := f.open.Close()
	f.open = nil
	return err
}
