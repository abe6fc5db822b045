package records

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"sync"

	"m2m-token-enricher/schema"
)

// How an import is cut.
const (
	importBatch   = 500 // records that are read and written together
	importWriters = 4   // that write at once; records of one identifier have the same
)

// Import is one run from a file into Redis.
type Import struct {
	Kind    schema.Kind
	Mode    Mode
	SkipBad bool // leave bad rows out, instead of writing nothing after the first

	// Bad is told of every row that is no record, in order.
	Bad func(*RowError)
	// Changed is told of every record that isn't as it was; its error ends the
	// import. It is never called twice at once. Nil: nobody is.
	Changed func(Change) error
}

// Summary counts what an import did, in records.
type Summary struct {
	New       int `json:"new"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
	Bad       int `json:"bad"`
	// Next is the line to go on from if the import ended early: every record
	// before it is written. 0: it came to the end.
	Next int `json:"next,omitempty"`
}

// ErrBadRows says that an import wrote nothing from the first bad row on.
var ErrBadRows = errors.New("bad rows; what was good before the first of them is written")

// Run reads rows from the line called from on and makes the records what they
// say. It can be repeated: what is as it should be isn't written again.
func (i Import) Run(ctx context.Context, s *Store, rows Rows, from int) (Summary, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run := &importRun{Import: i, store: s, ctx: ctx, fail: cancel, seed: maphash.MakeSeed()}
	var writers sync.WaitGroup
	for w := range run.writers {
		run.writers[w] = make(chan row, importBatch)
		writers.Go(func() { run.write(run.writers[w]) })
	}
	err := run.read(rows, from)
	for _, w := range run.writers {
		close(w)
	}
	writers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return run.summary, err
}

type row struct {
	Entry
	line int
}

type importRun struct {
	Import
	store   *Store
	ctx     context.Context
	fail    context.CancelCauseFunc
	seed    maphash.Seed
	writers [importWriters]chan row

	mu      sync.Mutex
	summary Summary
}

// read gives each row to the writer of its identifier. After a bad one it only
// goes on to tell of the others.
func (r *importRun) read(rows Rows, from int) error {
	var broken error
	last := 0
	for r.ctx.Err() == nil {
		e, line, err := r.next(rows)
		var bad *RowError
		if err != nil && !errors.As(err, &bad) {
			if errors.Is(err, io.EOF) {
				return broken
			}
			r.unwritten(max(last+1, from))
			return errors.Join(broken, err)
		}
		last = line
		switch {
		case line < from:
		case bad != nil:
			r.Bad(bad)
			r.countBad()
			if !r.SkipBad && broken == nil {
				r.unwritten(line)
				broken = ErrBadRows
			}
		case broken == nil:
			r.give(row{e, line})
		}
	}
	r.unwritten(max(last+1, from))
	return context.Cause(r.ctx)
}

// next returns the next record as it is kept.
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

func (r *importRun) give(e row) {
	select {
	case r.writers[maphash.String(r.seed, e.ID)%importWriters] <- e:
	case <-r.ctx.Done():
		r.unwritten(e.line)
	}
}

// write writes what comes, in batches in which no identifier comes twice.
func (r *importRun) write(rows <-chan row) {
	b := batch{ids: map[string]bool{}}
	for e := range rows {
		if b.ids[e.ID] || len(b.entries) == importBatch {
			r.put(&b)
		}
		b.add(e)
	}
	r.put(&b)
}

// batch is what one writer writes together.
type batch struct {
	entries []Entry
	ids     map[string]bool
	first   int // line
}

func (b *batch) add(e row) {
	if len(b.entries) == 0 {
		b.first = e.line
	}
	b.entries = append(b.entries, e.Entry)
	b.ids[e.ID] = true
}

// put writes a batch and empties it. After a failure nothing is written any
// more.
func (r *importRun) put(b *batch) {
	if len(b.entries) == 0 {
		return
	}
	err := context.Cause(r.ctx)
	if err == nil {
		var changes []Change
		if changes, err = r.store.put(r.ctx, r.Kind, b.entries, r.Mode); err == nil {
			err = r.count(changes)
		}
	}
	if err != nil {
		r.unwritten(b.first)
		r.fail(err)
	}
	b.entries = b.entries[:0]
	clear(b.ids)
}

func (r *importRun) count(changes []Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		switch {
		case c.Nothing():
			r.summary.Unchanged++
			continue
		case len(c.Before) == 0:
			r.summary.New++
		default:
			r.summary.Changed++
		}
		if r.Changed != nil {
			if err := r.Changed(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *importRun) countBad() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Bad++
}

// unwritten says that the record on line isn't written.
func (r *importRun) unwritten(line int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.summary.Next == 0 || line < r.summary.Next {
		r.summary.Next = line
	}
}
