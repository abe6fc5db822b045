package jws

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
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
	firstReadPatience = 2 * time.Second
	// readTime is how long a read may take before the log warns of it.
	readTime = 10 * time.Second
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

// Warning returns what is wrong with a file whose ring is in use, nil if nothing
// is: its present content isn't that ring, reading it doesn't end, or others may
// read or change it.
func (f *KeyFile) Warning(ctx context.Context) error {
	f.follow(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	hangs := f.reading != nil && f.now().Sub(f.begun) >= readTime
	switch {
	case f.ring == nil:
		return nil // an error says it
	case hangs:
		return fmt.Errorf("the previous signing keys stay in use: reading %s hasn't ended within %v: its file system or its library hangs", f.path, readTime)
	case f.failure != nil:
		return fmt.Errorf("the previous signing keys stay in use: %w", f.failure)
	}
	return f.exposed
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
	c, err := safely(func() (content, error) { return f.settled(), nil })
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

// take makes c the present content.
func (f *KeyFile) take(c content) {
	ring := c.ring
	if c.err == nil && ring == nil {
		if ring, c.err = safely(func() (*Ring, error) { return ParseRing(c.text) }); c.err != nil && f.path != "" {
			c.err = fmt.Errorf("%s: %w", f.path, c.err)
		}
	}
	f.text, f.failure, f.exposed = c.text, c.err, c.exposed
	if ring != nil {
		f.ring, f.changed = ring, cmp.Or(c.changed, f.now())
	}
}

func sameError(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
