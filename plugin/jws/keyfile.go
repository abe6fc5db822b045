package jws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// keyFilePoll is how often the key file is read again. It is read, not
// watched: Kubernetes swaps links, and network mounts notify nobody.
const keyFilePoll = 5 * time.Second

// KeyFile is where the gateway's key ring comes from: a file, whose new
// content is live a few seconds later, or a text. A bad new content keeps the
// ring that was there. Safe for concurrent use.
type KeyFile struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	read    time.Time // last time that the file was read
	text    []byte    // last content, good or bad
	ring    *Ring     // last good one
	failure error     // of the last content
	warned  bool      // failure was given out as a warning
}

// NewKeyFile reads the ring from the file at path or, if path is empty, from
// text.
func NewKeyFile(path, text string, now func() time.Time) *KeyFile {
	f := &KeyFile{path: path, now: now}
	if path == "" {
		f.take([]byte(text))
	}
	return f
}

// Ring returns the current ring. It is an error if there never was a good one.
func (f *KeyFile) Ring() (*Ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	if f.ring == nil {
		return nil, fmt.Errorf("no signing key: %w", f.failure)
	}
	return f.ring, nil
}

// Warning returns once why the file's present content isn't used, if an older
// ring still is, and nil otherwise.
func (f *KeyFile) Warning() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	if f.ring == nil || f.failure == nil || f.warned {
		return nil
	}
	f.warned = true
	return fmt.Errorf("the signing keys are those from before: %w", f.failure)
}

func (f *KeyFile) refresh() {
	wait := keyFilePoll
	if f.ring == nil {
		wait = retryInterval
	}
	if f.path == "" || (!f.read.IsZero() && f.now().Sub(f.read) < wait) {
		return
	}
	f.read = f.now()
	text, err := readKeyFile(f.path)
	if err != nil {
		f.text = nil
		f.fail(err)
		return
	}
	if f.text == nil || !bytes.Equal(text, f.text) {
		f.take(text)
	}
}

func (f *KeyFile) take(text []byte) {
	f.text = text
	ring, err := ParseRing(text)
	if err != nil {
		if f.path != "" {
			err = fmt.Errorf("%s: %w", f.path, err)
		}
		f.fail(err)
		return
	}
	f.ring, f.failure, f.warned = ring, nil, false
}

func (f *KeyFile) fail(err error) {
	if f.failure == nil || f.failure.Error() != err.Error() {
		f.warned = false
	}
	f.failure = err
}

func readKeyFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err // it names the path
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxRingSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New(path + " is empty")
	}
	return text, nil
}
