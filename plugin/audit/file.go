package audit

import (
	"bytes"
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

// write appends lines, in one piece, and returns how many of them are whole in
// the file. A file that can't be rotated goes on to grow: that is an error, but
// loses nothing.
func (f *file) write(lines []byte) (written int, err error) {
	if err := f.ready(); err != nil {
		return 0, err
	}
	unrotated := f.makeRoom(len(lines))
	if f.open == nil {
		return 0, unrotated
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
	return bytes.Count(lines, []byte{'\n'}), unrotated
}

// makeRoom rotates the file if it would have too many bytes with more.
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
// opens a new one. While another process does that, the file stays as it is; on
// a file system without locks two may do it.
func (f *file) rotate() error {
	if errors.Is(syscall.Flock(int(f.open.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		return nil
	}
	locked := f.open
	defer locked.Close() // unlocks it
	var failure error
	if f.current() { // else another process was faster
		failure = f.moveAll()
	}
	f.open = nil
	return errors.Join(failure, f.ready())
}

func (f *file) moveAll() error {
	for n := f.keep; n > 0; n-- {
		newer := f.path
		if n > 1 {
			newer = f.numbered(n - 1)
		}
		if err := os.Rename(newer, f.numbered(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
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
