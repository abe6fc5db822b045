// Package reconcile makes the records in Redis equal to those of a source.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// Source is where the records come from.
type Source interface {
	// Pages returns all records, page by page. What the applications of a page name
	// is in it or in an earlier one. from is the Next of the page to continue after,
	// "" to begin. A page is read only when it is asked for. After an error there
	// are no further pages.
	Pages(ctx context.Context, from string) iter.Seq2[Page, error]
}

// Store is what a run needs of the records in Redis; [records.Store] is one.
type Store interface {
	Now(ctx context.Context) (records.Timestamp, error)
	PutIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, entries []records.Entry, mode records.Mode) ([]records.Result, error)
	UpdateIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, id string, set schema.Record) error
	DeleteIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, ids []string, mode records.Mode) (deleted, conflicts []string, err error)
	IDs(ctx context.Context, kind schema.Kind, match string, page func(ids []string) bool) error
}

// Run makes the records equal to those of the source. It can end at any point
// and be repeated: it writes only what differs. Others may write at the same
// time: a run replaces no record that was written after it asked the source.
type Run struct {
	Source     Source
	Store      Store
	Mode       records.Mode
	MaxDelete  Limit
	Checkpoint *Checkpoint // nil: a run that ended early starts over

	// Changed is called with every record that changes, Deleted with every one that
	// is deleted. An error ends the run. Either may be nil.
	Changed func(schema.Kind, records.Change) error
	Deleted func(kind schema.Kind, id string) error
}

// Counts are what a run did to the records of one kind.
type Counts struct {
	records.Counts
	Deleted int `json:"deleted"`
}

// Summary counts what a run did.
type Summary map[schema.Kind]*Counts

// ErrTooManyDeletions says that the source lost so many records that none was
// deleted. The records that it has are written.
var ErrTooManyDeletions = errors.New("too many records would be deleted, so none is")

// Do runs it. The summary is also valid after an error. The error wraps
// ErrIncomplete if single records stay as they were and all others are applied.
func (r *Run) Do(ctx context.Context) (Summary, error) {
	p := &progress{Run: r, summary: Summary{}, inSource: idSets{}}
	for _, kind := range writeOrder {
		p.summary[kind] = &Counts{}
	}
	checkpoint := r.Checkpoint
	if r.Mode == records.DryRun {
		checkpoint = nil // nothing is written, so nothing can be resumed
	}
	unlock, err := checkpoint.lock()
	if err != nil {
		return p.summary, err
	}
	defer unlock()
	return p.summary, p.do(ctx, checkpoint)
}

// progress is the state of a run.
type progress struct {
	*Run
	summary  Summary
	inRedis  idSets            // before the run
	inSource idSets            // so far, including records that can't be read
	started  records.Timestamp // before the first page was asked for
	failed   failures
	reread   func(context.Context, map[schema.Kind][]string) (Page, error) // of the last page
}

func (p *progress) do(ctx context.Context, checkpoint *Checkpoint) (err error) {
	if p.started, err = p.Store.Now(ctx); err != nil {
		return err
	}
	if p.inRedis, err = p.listRecords(ctx); err != nil {
		return err
	}
	from := p.resume(checkpoint.resume(p.inRedis))
	asked, err := p.Store.Now(ctx)
	if err != nil {
		return err
	}
	for page, err := range p.Source.Pages(ctx, from) {
		if err != nil {
			return errors.Join(err, checkpoint.failed(err))
		}
		if page, err = p.apply(ctx, page, asked); err != nil {
			return err
		}
		if err := checkpoint.add(page, p.started); err != nil {
			return err
		}
		if asked, err = p.Store.Now(ctx); err != nil { // before the next page is asked for
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err // it may have ended the pages
	}
	// Everything is written. The next run reads the source from the beginning, even
	// if this one deletes nothing.
	if err := checkpoint.remove(); err != nil {
		return err
	}
	return errors.Join(p.deleteOthers(ctx), p.failed.err())
}

// resume continues an earlier run, if it wrote a page, and returns from where.
func (p *progress) resume(earlier saved) (from string) {
	if earlier.next == "" {
		return ""
	}
	p.started = earlier.started // or the run would delete what others have written since
	p.inSource.addAll(earlier.written)
	p.inSource.addAll(earlier.failed)
	for _, kind := range writeOrder {
		for _, id := range slices.Sorted(maps.Keys(earlier.failed[kind])) {
			p.failed = append(p.failed, kindFailure{kind, Failure{ID: id, Err: errFailedEarlier}})
		}
	}
	return earlier.next
}

var errFailedEarlier = errors.New("failed before the run was interrupted; the next run reads it again")

// listRecords returns the records that are in Redis.
func (p *progress) listRecords(ctx context.Context) (idSets, error) {
	all := idSets{}
	for _, kind := range writeOrder {
		err := p.Store.IDs(ctx, kind, "*", func(ids []string) bool {
			all.add(kind, ids...)
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("list %s records: %w", kind, err)
		}
	}
	return all, nil
}
