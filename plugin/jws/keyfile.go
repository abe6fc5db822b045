package jws

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// How the key file is followed.
const (
	// keyFilePoll is how often the file is read again. It isn't watched:
	// Kubernetes swaps links, and network mounts notify nobody.
	keyFilePoll = 5 * time.Second
	// keyFilePatience is how long a request waits for a read. The previous ring
	// signs while a mount hangs.
	keyFilePatience = 100 * time.Millisecond
	// firstReadPatience is the same while there is no ring.
	firstReadPatience = 2 * time.Second
	// readTime is how long a read may take before the log warns of it.
	readTime = 10 * time.Second
	// stableTime is how long a PEM file must stay unchanged.
	stableTime = time.Second
	// stableTries is how often a read waits for that.
	stableTries = 4
)

// KeyFile provides the gateway's key ring from a file or another source, and
// uses new content a few seconds later. It can also hold a fixed text. Bad new
// content keeps the previous ring. Safe for concurrent use.
type KeyFile struct {
	source RingSource // nil for a text
	now    func() time.Time

	mu      sync.Mutex
	begun   time.Time     // when the last read began
	reading chan struct{} // closed when the current read ends; nil if none runs
	text    []byte        // last content, good or bad; nil if it couldn't be read
	ring    *Ring         // last good one
	changed time.Time     // when its file was changed
	failure error         // why the last content isn't the ring
	exposed error         // that others may read or change the file
}

// NewKeyFile reads the ring from path or, if path is empty, from text. A path
// names a file, or what another source was registered for.
func NewKeyFile(path, text string, now func() time.Time) *KeyFile {
	f := &KeyFile{now: now}
	if path == "" {
		f.store(RingContent{Text: []byte(text)})
	} else {
		f.source = openRingSource(path)
	}
	return f
}

// Ring returns the current ring. It is an error if there never was a good one.
// It waits a little for a read, but not beyond ctx.
func (f *KeyFile) Ring(ctx context.Context) (*Ring, error) {
	f.refresh(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ring != nil:
		return f.ring, nil
	case f.failure == nil:
		return nil, fmt.Errorf("no signing key: %s is still being read", f.source)
	}
	return nil, fmt.Errorf("no signing key: %w", f.failure)
}

// State returns the ring in use, nil if there is none, and when its file was
// changed. Without a file, that is when it was read.
func (f *KeyFile) State() (*Ring, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ring, f.changed
}

// Warning returns what is wrong with a file whose ring is in use: its present
// content isn't that ring, reading it doesn't end, or others may read or change
// it. It returns nil if nothing is.
func (f *KeyFile) Warning(ctx context.Context) error {
	f.refresh(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	hangs := f.reading != nil && f.now().Sub(f.begun) >= readTime
	switch {
	case f.ring == nil:
		return nil // Ring returns an error
	case hangs:
		return fmt.Errorf("the previous signing keys stay in use: reading %s hasn't ended within %v: its file system or its library hangs", f.source, readTime)
	case f.failure != nil:
		return fmt.Errorf("the previous signing keys stay in use: %w", f.failure)
	}
	return f.exposed
}

// refresh starts a read if one is due, and waits a little for the current one.
func (f *KeyFile) refresh(ctx context.Context) {
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
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-reading:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (f *KeyFile) due(now time.Time) bool {
	wait := keyFilePoll
	if f.ring == nil {
		wait = retryInterval
	}
	age := now.Sub(f.begun)
	return f.source != nil && f.reading == nil && (age >= wait || age < 0)
}

func (f *KeyFile) reread(done chan struct{}) {
	defer close(done)
	c, err := recovered(func() (RingContent, error) { return f.readStable(), nil })
	if err != nil {
		c.Err = err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = nil
	if c.Err == nil && f.text != nil && bytes.Equal(c.Text, f.text) && sameError(c.Exposed, f.exposed) {
		return
	}
	f.store(c)
}

// readStable reads until the content is complete. JSON has an end, and so has
// what another source returns. PEM blocks don't: a file that another program is
// writing may look like a ring of fewer keys, and APIs would keep that set for
// signing.jwks_max_age. New PEM blocks must stay unchanged for stableTime.
func (f *KeyFile) readStable() RingContent {
	c := f.source.Read()
	for range stableTries {
		if !f.mayGrow(c) {
			return c
		}
		time.Sleep(stableTime)
		again := f.source.Read()
		if again.Err == nil && bytes.Equal(again.Text, c.Text) && again.Changed.Equal(c.Changed) {
			return again
		}
		c = again
	}
	return RingContent{Err: fmt.Errorf("%s keeps changing: write another file and rename it", f.source)}
}

// mayGrow reports whether c may be a part of what is being written. The clock of
// the file's server may differ, so a time in the future counts as recent.
func (f *KeyFile) mayGrow(c RingContent) bool {
	if c.Err != nil || !IsPEM(c.Text) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	age := f.now().Sub(c.Changed)
	return !bytes.Equal(c.Text, f.text) && age < 2*stableTime // file systems count in steps of up to 2 s
}

// store makes c the present content.
func (f *KeyFile) store(c RingContent) {
	ring := c.Ring
	if c.Err == nil && ring == nil {
		if ring, c.Err = recovered(func() (*Ring, error) { return ParseRing(c.Text) }); c.Err != nil && f.source != nil {
			c.Err = fmt.Errorf("%s: %w", f.source, c.Err)
		}
	}
	f.text, f.failure, f.exposed = c.Text, c.Err, c.Exposed
	if ring != nil {
		f.ring, f.changed = ring, cmp.Or(c.Changed, f.now())
	}
}

func sameError(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
