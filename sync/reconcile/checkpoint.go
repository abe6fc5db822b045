package reconcile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"m2m-token-enricher/records"
)

// staleAfter is how old a checkpoint may be. A run that resumes doesn't read the
// earlier pages again.
const staleAfter = time.Hour

// Checkpoint saves the progress of a run in a file. The next run can resume there.
// A nil checkpoint saves nothing. Not for concurrent use.
type Checkpoint struct {
	path    string
	source  string   // what the run reads; the checkpoint of another source isn't used
	file    *os.File // nil before the first page of a run
	resumed bool     // the run adds to what is in the file
	size    int64    // of the complete lines in the file
}

// NewCheckpoint returns the checkpoint in the file at path for runs from
// source.
func NewCheckpoint(path, source string) *Checkpoint {
	return &Checkpoint{path: path, source: source}
}

// line is one line of the file: the first describes the run, each other a page
// that is written.
type line struct {
	Source    string            `json:"source,omitempty"`
	Started   time.Time         `json:"started,omitzero"`
	Timestamp records.Timestamp `json:"timestamp,omitempty"` // Started by Redis's clock
	Next      string            `json:"next,omitempty"`
	IDs       idLists           `json:"ids,omitempty"`
	Failed    idLists           `json:"failed,omitempty"` // in the source, but not written
}

// saved is the content of a file.
type saved struct {
	started         records.Timestamp
	written, failed idSets
	next            string
}

// resume returns what an earlier run saved, or the zero value to start over: if
// the file can't be used, or if Redis has lost what the run wrote.
func (c *Checkpoint) resume(inRedis idSets) saved {
	if c == nil {
		return saved{}
	}
	if c.file != nil {
		_ = c.file.Close() // of a run that failed; its complete lines count
		c.file = nil
	}
	earlier := c.read()
	if c.resumed = earlier.next != "" && inRedis.contains(earlier.written); !c.resumed {
		return saved{}
	}
	return earlier
}

func (c *Checkpoint) read() (s saved) {
	file, err := os.Open(c.path)
	if err != nil {
		return s
	}
	defer file.Close()
	dec := json.NewDecoder(bufio.NewReader(file))
	var head line
	if dec.Decode(&head) != nil || head.Source != c.source || head.Timestamp == 0 {
		return s
	}
	if age := time.Since(head.Started); age < 0 || age >= staleAfter {
		return s
	}
	s = saved{started: head.Timestamp, written: idSets{}, failed: idSets{}}
	for {
		var page line
		if dec.Decode(&page) != nil { // the end, or an incomplete line
			return s
		}
		for _, kind := range writeOrder {
			s.written.add(kind, page.IDs[kind]...)
			s.failed.add(kind, page.Failed[kind]...)
		}
		s.next, c.size = page.Next, dec.InputOffset()
	}
}

// add saves that page is written, by a run that started at started.
func (c *Checkpoint) add(page Page, started records.Timestamp) error {
	if c == nil || page.Next == "" {
		return nil
	}
	l := line{Next: page.Next, IDs: idLists{}, Failed: idLists{}}
	for _, kind := range writeOrder {
		for _, e := range page.Records[kind] {
			l.IDs[kind] = append(l.IDs[kind], e.ID)
		}
		for _, f := range page.Failed[kind] {
			l.Failed[kind] = append(l.Failed[kind], f.ID)
		}
	}
	err := c.open(started)
	if err == nil {
		err = json.NewEncoder(c.file).Encode(l)
	}
	if err != nil {
		return fmt.Errorf("save the checkpoint: %w", err)
	}
	return nil
}

// open opens the file to add to it, or creates a new one.
func (c *Checkpoint) open(started records.Timestamp) (err error) {
	if c.file != nil {
		return nil
	}
	if c.resumed {
		if c.file, err = os.OpenFile(c.path, os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			return err
		}
		return c.file.Truncate(c.size)
	}
	// A new file, because the old one may be a link, or others may read it.
	if err := os.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.file, err = os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600); err != nil {
		return err
	}
	return json.NewEncoder(c.file).Encode(line{Source: c.source, Started: time.Now(), Timestamp: started})
}

// ErrCantResume is wrapped by the error of a source that no longer knows the page
// to continue after.
var ErrCantResume = errors.New("the source can't continue from the checkpoint")

// failed removes a checkpoint from which the source can't continue.
func (c *Checkpoint) failed(err error) error {
	if !errors.Is(err, ErrCantResume) {
		return nil
	}
	return c.remove()
}

// remove removes the file.
func (c *Checkpoint) remove() error {
	if c == nil {
		return nil
	}
	var closing error
	if c.file != nil {
		closing = c.file.Close()
		c.file = nil
	}
	if err := os.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(closing, fmt.Errorf("remove the checkpoint: %w", err))
	}
	return closing
}

// ErrInUse says that another run uses the file of the checkpoint.
var ErrInUse = errors.New("another run uses this file")

// lock keeps other runs away from the checkpoint until unlock is called or the
// process ends. It doesn't wait: the error wraps ErrInUse if another run has it.
// It locks a second file, which stays, because the first one is replaced.
func (c *Checkpoint) lock() (unlock func(), err error) {
	if c == nil {
		return func() {}, nil
	}
	file, err := os.OpenFile(c.path+".lock", os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the checkpoint: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close() // nothing was written to it
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("checkpoint %s: %w", c.path, ErrInUse)
		}
		return nil, fmt.Errorf("lock the checkpoint %s: %w", c.path, err)
	}
	return func() { _ = file.Close() }, nil // this ends the lock
}
