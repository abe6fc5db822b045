package jws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"m2m-token-enricher/schema"
)

// RingSource is what a key ring is read from, every few seconds.
type RingSource interface {
	// Read returns the present content. One read runs at a time.
	Read() RingContent
	// String names the source in messages, without a secret.
	String() string
}

// RingContent is the result of reading a ring's source.
type RingContent struct {
	Text    []byte    // for ParseRing if Ring is nil; otherwise it differs for each Ring
	Ring    *Ring     // of a source that isn't text
	Changed time.Time // when the file was changed; zero if there is no file
	Exposed error     // that others may read or change the file
	Err     error     // why it can't be read
}

// ringSources are sources other than files, by what their paths begin with.
var ringSources = map[string]func(path string) RingSource{}

// RegisterRingSource has NewKeyFile open paths that begin with prefix, such as
// "pkcs11:", with open. It must be called from init.
func RegisterRingSource(prefix string, open func(path string) RingSource) { ringSources[prefix] = open }

func openRingSource(path string) RingSource {
	for prefix, open := range ringSources {
		if strings.HasPrefix(path, prefix) {
			return open(path)
		}
	}
	return ringFile(path)
}

// ringFile is the path of a file with a ring.
type ringFile string

func (path ringFile) String() string { return string(path) }

func (path ringFile) Read() RingContent {
	c := ReadSecretFile(string(path), MaxRingSize)
	if c.Err == nil && len(bytes.TrimSpace(schema.WithoutMark(c.Text))) == 0 {
		return RingContent{Err: errors.New(string(path) + " is empty")}
	}
	return c
}

// ReadSecretFile reads a file with a secret: up to limit bytes, and one more if
// the file is longer. Anything but a regular file, such as a pipe, is an error
// at once: reading it could wait without an end.
func ReadSecretFile(path string, limit int64) RingContent {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return RingContent{Err: err} // it names the path
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return RingContent{Err: err}
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return RingContent{Err: err}
	}
	return RingContent{Text: text, Changed: info.ModTime(), Exposed: exposure(path, info)}
}

// exposure returns a warning about a secret that others than its owner may read
// or change. The rule is PostgreSQL's for its ssl_key_file.
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

// isExposed reports whether a file grants others more than user needs to read
// it. A process can read root's file only through its group, as in the Secret of
// a pod with an fsGroup. It needs no group to read its own.
func isExposed(mode fs.FileMode, owner, user int) bool {
	if owner == 0 && user != 0 {
		return mode.Perm()&0o037 != 0
	}
	return mode.Perm()&0o077 != 0
}
