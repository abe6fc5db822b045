package jws

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How the key file is followed.
const (
	// keyFilePoll is how often the file is read again. It is read, not watched:
	// Kubernetes swaps links, and network mounts notify nobody.
	keyFilePoll = 5 * time.Second
	// keyFilePatience is how long a request waits for a read. A mount that
	// hangs holds up nobody for longer; the ring from before serves meanwhile.
	keyFilePatience = 100 * time.Millisecond
	// firstReadPatience is the same while there is no ring to serve.
	firstReadPatience = time.Second
	// warnAgain is how often a warning is repeated while its cause lasts.
	warnAgain = time.Hour
)

// KeyFile is where the gateway's key ring comes from: a file, whose new
// content is live a few seconds later, or a text. A bad new content keeps the
// ring that was there. Safe for concurrent use.
type KeyFile struct {
	path string
	read func() content
	now  func() time.Time

	mu      sync.Mutex
	begun   time.Time     // when the last read began
	reading chan struct{} // closed at the end of the read under way; nil if none is
	text    []byte        // last content, good or bad; nil if it couldn't be read
	ring    *Ring         // last good one
	changed time.Time     // when its file was
	failure error         // why the last content isn't the ring
	exposed error         // that others may read or change the file
	warned  time.Time     // when the present warning was given out last
}

// NewKeyFile reads the ring from the file at path or, if path is empty, from
// text. A path may be the PKCS #11 URI of keys in a token.
func NewKeyFile(path, text string, now func() time.Time) *KeyFile {
	f := &KeyFile{path: path, now: now, read: func() content { return readKeyFile(path) }}
	if strings.HasPrefix(path, tokenScheme) {
		f.path, f.read = tokenReader(path)
	}
	if path == "" {
		f.take(content{text: []byte(text)})
	}
	return f
}

// Ring returns the current ring. It is an error if there never was a good one.
// It waits for a read a little, but not beyond ctx.
func (f *KeyFile) Ring(ctx context.Context) (*Ring, error) {
	f.follow(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ring != nil:
		return f.ring, nil
	case f.failure == nil:
		return nil, fmt.Errorf("no signing key: %s is still being read", f.path)
	}
	return nil, fmt.Errorf("no signing key: %w", f.failure)
}

// State returns the ring in use, nil if there is none, and when its file was
// changed. Of what has no file it is when it was read.
func (f *KeyFile) State() (*Ring, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ring, f.changed
}

// Warning returns what an operator should know of a file whose ring is in use:
// that its present content is not that ring, or that others may read or change
// it. It does so once, and again every hour while that lasts; otherwise it
// returns nil.
func (f *KeyFile) Warning(ctx context.Context) error {
	f.follow(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	warning := f.exposed
	if f.failure != nil {
		warning = fmt.Errorf("the signing keys are those from before: %w", f.failure)
	}
	now := f.now()
	if f.ring == nil || warning == nil || (!f.warned.IsZero() && now.Sub(f.warned) < warnAgain) {
		return nil
	}
	f.warned = now
	return warning
}

// follow starts a read if it is time for one, and waits a little for the one
// that is under way.
func (f *KeyFile) follow(ctx context.Context) {
	f.mu.Lock()
	now := f.now()
	if f.due(now) {
		f.begun, f.reading = now, make(chan struct{})
		go f.reread(f.reading)
	}
	reading, begun, patience := f.reading, f.begun, keyFilePatience
	if f.ring == nil {
		patience = firstReadPatience
	}
	f.mu.Unlock()
	patience -= now.Sub(begun)
	if reading == nil || patience <= 0 {
		return
	}
	over := time.NewTimer(patience)
	defer over.Stop()
	select {
	case <-reading:
	case <-over.C:
	case <-ctx.Done():
	}
}

func (f *KeyFile) due(now time.Time) bool {
	wait := keyFilePoll
	if f.ring == nil {
		wait = retryInterval
	}
	age := now.Sub(f.begun)
	return f.path != "" && f.reading == nil && (age >= wait || age < 0)
}

func (f *KeyFile) reread(done chan struct{}) {
	defer close(done)
	c, err := safely(func() (content, error) { return f.read(), nil })
	if err != nil {
		c.err = err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = nil
	if c.err == nil && f.text != nil && bytes.Equal(c.text, f.text) && sameError(c.exposed, f.exposed) {
		return
	}
	f.take(c)
}

// content is what a read found.
type content struct {
	text    []byte
	changed time.Time // of the file; zero if there is none
	ring    *Ring     // of a token; else text is to be parsed
	exposed error
	err     error
}

// take makes c the present content.
func (f *KeyFile) take(c content) {
	ring := c.ring
	if c.err == nil && ring == nil {
		if ring, c.err = safely(func() (*Ring, error) { return ParseRing(c.text) }); c.err != nil && f.path != "" {
			c.err = fmt.Errorf("%s: %w", f.path, c.err)
		}
	}
	if !sameError(c.err, f.failure) || !sameError(c.exposed, f.exposed) {
		f.warned = time.Time{}
	}
	f.text, f.failure, f.exposed = c.text, c.err, c.exposed
	if ring != nil {
		f.ring, f.changed = ring, cmp.Or(c.changed, f.now())
	}
}

func sameError(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

func readKeyFile(path string) content {
	file, err := os.Open(path)
	if err != nil {
		return content{err: err} // it names the path
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return content{err: err}
	}
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
