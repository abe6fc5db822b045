package records

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"m2m-token-enricher/schema"
)

// How an import is divided.
const (
	importChunk  = 500 // records that are read and written together
	importChunks = 4   // chunks that are written in parallel
)

// Import is one run from a file into Redis.
type Import struct {
	Kind    schema.Kind
	Mode    Mode
	SkipBad bool // leave bad rows out, instead of writing nothing after the first

	// Bad is called with every row that isn't a record, in order.
	Bad func(*RowError)
	// Changed, if not nil, is called with every record that changes; its error ends
	// the import. Calls don't overlap.
	Changed func(Change) error
}

// Summary counts what an import did, in records.
type Summary struct {
	Counts
	Bad int `json:"bad"`
	// Next is the line to continue from if the import ended early: every record
	// before it is written. Zero: the import is complete.
	Next int `json:"next,omitempty"`
}

// ErrBadRows says that an import wrote nothing from the first bad row on.
var ErrBadRows = errors.New("bad rows; the rows before the first of them are written")

// Run reads rows from the line called from on, and makes the records what they
// say. It can be repeated: a record that is already so isn't written again.
func (i Import) Run(ctx context.Context, s *Store, rows Rows, from int) (Summary, error) {
	run := &importRun{Import: i, store: s, ids: map[string]bool{}}
	err := run.read(ctx, rows, from)
	if flushed := run.flush(ctx); flushed != nil {
		err = flushed
	} else if written := run.writing.Wait(); written != nil {
		err = written
	}
	return run.summary, err
}

// importRun is an import in progress. While it writes the rows of one batch, it
// reads those of the next.
type importRun struct {
	Import
	store   *Store
	entries []Entry // the batch, each identifier once
	lines   []int   // of entries
	ids     map[string]bool
	writing errgroup.Group // of the batch before

	mu      sync.Mutex
	summary Summary
}

// read adds the rows to batches. After a bad one it only reports the other bad
// ones.
func (r *importRun) read(ctx context.Context, rows Rows, from int) error {
	var broken error
	last := 0
	for ctx.Err() == nil {
		e, line, err := r.next(rows)
		bad, isBad := errors.AsType[*RowError](err)
		switch {
		case errors.Is(err, io.EOF):
			return broken
		case err != nil && !isBad:
			r.unwritten(max(last+1, from))
			return errors.Join(broken, err)
		case line < from:
		case isBad:
			r.Bad(bad)
			r.summary.Bad++ // nobody else does
			if !r.SkipBad && broken == nil {
				r.unwritten(line)
				broken = ErrBadRows
			}
		case broken == nil:
			if err := r.add(ctx, e, line); err != nil {
				return err
			}
		}
		last = line
	}
	r.unwritten(max(last+1, from))
	return ctx.Err()
}

// next returns the next record as Redis keeps it.
func (r *importRun) next(rows Rows) (Entry, int, error) {
	e, line, err := rows.Next()
	if err != nil {
		return e, line, err
	}
	if e.Properties, err = r.Kind.Complete(e.ID, e.Properties); err != nil {
		return e, line, &RowError{line, err}
	}
	return e, line, nil
}

func (r *importRun) add(ctx context.Context, e Entry, line int) error {
	if r.ids[e.ID] || len(r.entries) == importChunk*importChunks {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	r.entries, r.lines, r.ids[e.ID] = append(r.entries, e), append(r.lines, line), true
	return nil
}

// flush waits for the batch before and starts to write this one. After an error
// it writes nothing more.
func (r *importRun) flush(ctx context.Context) error {
	if err := r.writing.Wait(); err != nil {
		return err
	}
	entries, lines := r.entries, r.lines
	r.writing, r.entries, r.lines = errgroup.Group{}, nil, nil
	clear(r.ids)
	for at := 0; at < len(entries); at += importChunk {
		end := min(at+importChunk, len(entries))
		r.writing.Go(func() error { return r.put(ctx, entries[at:end], lines[at]) })
	}
	return nil
}

// put writes a chunk that begins on line.
func (r *importRun) put(ctx context.Context, entries []Entry, line int) error {
	err := ctx.Err()
	if err == nil {
		var changes []Change
		if changes, err = r.store.put(ctx, r.Kind, entries, r.Mode); err == nil {
			err = r.count(changes)
		}
	}
	if err != nil {
		r.unwritten(line)
	}
	return err
}

func (r *importRun) count(changes []Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		if r.summary.Add(c) && r.Changed != nil {
			if err := r.Changed(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// unwritten records that the row on line isn't written.
func (r *importRun) unwritten(line int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.summary.Next == 0 || line < r.summary.Next {
		r.summary.Next = line
	}
}
