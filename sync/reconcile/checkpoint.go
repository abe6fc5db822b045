package reconcile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"m2m-token-enricher/records"
)

// staleAfter is how old a checkpoint may be. A run that goes on after it trusts
// what was read before.
const staleAfter = time.Hour

// Checkpoint keeps in a file how far a run came, so that one that ended early
// can go on there. A nil checkpoint keeps nothing. Not for concurrent use.
type Checkpoint struct {
	path   string
	source string // what the run is of; the checkpoint of another is not used
	now    func() time.Time
	file   *os.File // nil before the first page of a run
	goesOn bool     // the run goes on after what is in the file
	size   int64    // of what is in the file, but for a line that was cut off
}

// NewCheckpoint returns the checkpoint in the file at path for runs from
// source.
func NewCheckpoint(path, source string) *Checkpoint {
	return &Checkpoint{path: path, source: source, now: time.Now}
}

// line is one line of the file: the first says what the run is of, each other
// that a page was written.
type line struct {
	Source string            `json:"source,omitempty"`
	Begun  time.Time         `json:"begun,omitzero"`
	Moment records.Timestamp `json:"moment,omitempty"` // the same by Redis's clock
	Next   string            `json:"next,omitempty"`
	IDs    idsByKind         `json:"ids,omitempty"`
	Failed idsByKind         `json:"failed,omitempty"` // in the source, but not written
}

// progress is what a file says of the run that wrote it.
type progress struct {
	begun           records.Timestamp
	written, failed seen
	next            string
}

// resume returns the progress of a run that ended early, the zero progress if
// there is none to continue. That a file can't be read is no reason to stop: the
// run begins anew. So it does if Redis has lost what was written; there is what
// it has.
func (c *Checkpoint) resume(there seen) progress {
	if c == nil {
		return progress{}
	}
	if c.file != nil {
		_ = c.file.Close() // of a run that failed; what it wrote counts
		c.file = nil
	}
	earlier := c.read()
	if c.goesOn = earlier.next != "" && there.has(earlier.written); !c.goesOn {
		return progress{}
	}
	return earlier
}

func (c *Checkpoint) read() (p progress) {
	file, err := os.Open(c.path)
	if err != nil {
		return p
	}
	defer file.Close()
	dec := json.NewDecoder(bufio.NewReader(file))
	var head line
	if dec.Decode(&head) != nil || head.Source != c.source || head.Moment == 0 ||
		c.now().Sub(head.Begun) >= staleAfter || c.now().Before(head.Begun) {
		return p
	}
	p = progress{begun: head.Moment, written: seen{}, failed: seen{}}
	for {
		var page line
		if dec.Decode(&page) != nil { // the end, or a line that was cut off
			return p
		}
		for _, kind := range written {
			p.written.add(kind, page.IDs[kind]...)
			p.failed.add(kind, page.Failed[kind]...)
		}
		p.next, c.size = page.Next, dec.InputOffset()
	}
}

// reached says that page is written, by a run that began at begun.
func (c *Checkpoint) reached(page Page, begun records.Timestamp) error {
	if c == nil || page.Next == "" {
		return nil
	}
	if err := c.open(begun); err != nil {
		return fmt.Errorf("keep the checkpoint: %w", err)
	}
	l := line{Next: page.Next, IDs: idsByKind{}, Failed: idsByKind{}}
	for _, kind := range written {
		for _, e := range page.Records[kind] {
			l.IDs[kind] = append(l.IDs[kind], e.ID)
		}
		for _, f := range page.Failed[kind] {
			l.Failed[kind] = append(l.Failed[kind], f.ID)
		}
	}
	if err := json.NewEncoder(c.file).Encode(l); err != nil {
		return fmt.Errorf("keep the checkpoint: %w", err)
	}
	return nil
}

// open opens the file to go on in it, or begins a new one.
func (c *Checkpoint) open(begun records.Timestamp) (err error) {
	if c.file != nil {
		return nil
	}
	if c.goesOn {
		if c.file, err = os.OpenFile(c.path, os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			return err
		}
		return c.file.Truncate(c.size)
	}
	// Not the file that is there: it may be another's, or be read by others.
	if err := os.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.file, err = os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600); err != nil {
		return err
	}
	return json.NewEncoder(c.file).Encode(line{Source: c.source, Begun: c.now(), Moment: begun})
}

// failed drops a checkpoint from which the source can't go on.
func (c *Checkpoint) failed(err error) error {
	if c == nil || !errors.Is(err, ErrCantResume) {
		return nil
	}
	return c.done()
}

// ErrCantResume is wrapped by the error of a source that doesn't know the page
// to go on after any more.
var ErrCantResume = errors.New("the source can't go on from the checkpoint")

// done says that the run came to its end.
func (c *Checkpoint) done() error {
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
