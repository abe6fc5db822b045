package jws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

const (
	// settleTime is for how long a PEM file must have stayed as it is.
	settleTime = time.Second
	// settleTries is how often that is looked at within a read.
	settleTries = 4
)

// content is what a read found.
type content struct {
	text    []byte
	changed time.Time // of the file; zero if there is none
	ring    *Ring     // of a token; else text is to be parsed
	exposed error
	err     error
}

// settled reads until the content is whole. JSON says where it ends, and so does
// a token. PEM blocks don't: a file that another program is writing may look like
// a ring of fewer keys, and APIs would keep that set for signing.jwks_max_age. So
// new PEM blocks count once the file has stayed as it is for settleTime.
func (f *KeyFile) settled() content {
	c := f.read()
	for range settleTries {
		if !f.mayGrow(c) {
			return c
		}
		time.Sleep(settleTime)
		again := f.read()
		if again.err == nil && bytes.Equal(again.text, c.text) && again.changed.Equal(c.changed) {
			return again
		}
		c = again
	}
	return content{err: fmt.Errorf("%s keeps changing: write another file and rename it", f.path)}
}

// mayGrow reports whether c may be a part of what is being written. The time of
// a file's server may differ: what seems to come from the future may grow, too.
func (f *KeyFile) mayGrow(c content) bool {
	if c.err != nil || !isPEM(c.text) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	age := f.now().Sub(c.changed)
	return !bytes.Equal(c.text, f.text) && age < 2*settleTime // file systems count in steps of up to 2 s
}

// openRegular opens a file to read. Anything else, such as a pipe, is an error
// at once: reading it could wait without an end.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

func readKeyFile(path string) content {
	file, info, err := openRegular(path)
	if err != nil {
		return content{err: err} // it names the path
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxRingSize+1))
	if err != nil {
		return content{err: fmt.Errorf("read %s: %w", path, err)}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return content{err: errors.New(path + " is empty")}
	}
	return content{text: text, changed: info.ModTime(), exposed: exposure(path, info)}
}

// exposure warns of private keys that others than their owner may read or
// change, by PostgreSQL's rule for its ssl_key_file.
func exposure(path string, info fs.FileInfo) error {
	user := os.Geteuid()
	owner := user
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(stat.Uid)
	}
	if !isExposed(info.Mode(), owner, user) {
		return nil
	}
	return fmt.Errorf("%s may be read or changed by others than its owner (mode %04o)", path, info.Mode().Perm())
}

// isExposed says whether a file of owner's grants others more than it must for
// user to read it. What is root's can only be read by its group, as the Secret
// of a pod with an fsGroup; what is the user's own needs no group.
func isExposed(mode fs.FileMode, owner, user int) bool {
	if owner == 0 && user != 0 {
		return mode.Perm()&0o037 != 0
	}
	return mode.Perm()&0o077 != 0
}
