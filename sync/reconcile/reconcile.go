// Package reconcile makes the records in Redis what a source says they are.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// Source is where records are kept.
type Source interface {
	// Pages returns all records, page by page, each page complete in itself:
	// what its applications name is in it or in an earlier one. from is the
	// Next of the page to go on after, "" to begin. A page is read when it is
	// asked for, and not before. After an error there are no further pages.
	Pages(ctx context.Context, from string) iter.Seq2[Page, error]
}

// Store is what a run needs of the records in Redis; [records.Store] is one.
type Store interface {
	Now(ctx context.Context) (records.Timestamp, error)
	PutIfUnchanged(ctx context.Context, begun records.Timestamp, kind schema.Kind, entries []records.Entry, mode records.Mode) ([]records.Result, error)
	UpdateIfUnchanged(ctx context.Context, begun records.Timestamp, kind schema.Kind, id string, set schema.Record) error
	DeleteIfUnchanged(ctx context.Context, begun records.Timestamp, kind schema.Kind, ids []string, mode records.Mode) (gone, overtaken []string, err error)
	IDs(ctx context.Context, kind schema.Kind, match string, page func(ids []string) bool) error
}

// Run makes the records what the source says. It can end at any point and be
// repeated: what is as it should be isn't written again. Any number of runs and
// others may write at the same time: a run replaces no record that was written
// after it asked the source for it.
type Run struct {
	Source     Source
	Store      Store
	Mode       records.Mode
	MaxDelete  Limit
	Checkpoint *Checkpoint // nil: a run that ended early begins anew

	// Changed is told of every record that isn't as it was, Gone of every one
	// that is deleted; an error ends the run. Nil: nobody is.
	Changed func(schema.Kind, records.Change) error
	Gone    func(kind schema.Kind, id string) error

	wait func(context.Context, time.Duration) error // nil: by the clock
}

// Counts are what a run did to the records of one kind.
type Counts struct {
	New       int `json:"new"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
	Deleted   int `json:"deleted"`
}

// Summary counts what a run did.
type Summary map[schema.Kind]*Counts

// ErrTooManyDeletions says that a source has lost so much that nothing was
// deleted. What it has is written.
var ErrTooManyDeletions = errors.New("too many records would be deleted, so none is")

// Do runs it. The summary says what was done until an error, too. The error
// wraps ErrIncomplete if single records stay as they were: all others are
// applied then.
func (r *Run) Do(ctx context.Context) (Summary, error) {
	t := &turn{Run: r, summary: Summary{}, seen: seen{}}
	for _, kind := range written {
		t.summary[kind] = &Counts{}
	}
	checkpoint := r.Checkpoint
	if r.Mode == records.DryRun {
		checkpoint = nil // nothing is written that one could go on after
	}
	release, err := checkpoint.lock()
	if err != nil {
		return t.summary, err
	}
	defer release()
	return t.summary, t.do(ctx, checkpoint)
}

// turn is one run on its way.
type turn struct {
	*Run
	summary Summary
	before  seen              // what was there
	seen    seen              // what the source has, also what can't be read
	begun   records.Timestamp // when the first page was asked for, or earlier
	failed  failures
	again   func(context.Context, map[schema.Kind][]string) (Page, error) // of the last page
}

func (t *turn) do(ctx context.Context, checkpoint *Checkpoint) (err error) {
	if t.begun, err = t.Store.Now(ctx); err != nil {
		return err
	}
	if t.before, err = t.list(ctx); err != nil {
		return err
	}
	from := t.resume(checkpoint.resume(t.before))
	asked, err := t.Store.Now(ctx)
	if err != nil {
		return err
	}
	for page, err := range t.Source.Pages(ctx, from) {
		if err != nil {
			return errors.Join(err, checkpoint.failed(err))
		}
		if err := t.apply(ctx, &page, asked); err != nil {
			return err
		}
		if err := checkpoint.reached(page, t.begun); err != nil {
			return err
		}
		if asked, err = t.Store.Now(ctx); err != nil { // before the next page is asked for
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err // the pages may have ended because of it
	}
	// Everything is written. A run after this one shall ask again what is there,
	// also if this one deletes nothing.
	if err := checkpoint.done(); err != nil {
		return err
	}
	return errors.Join(t.deleteOthers(ctx), t.failed.err())
}

// resume continues a run that ended early and made progress, and returns from
// where.
func (t *turn) resume(earlier progress) (from string) {
	if earlier.next == "" {
		return ""
	}
	t.begun = earlier.begun // or what others wrote since would be deleted
	t.seen.addAll(earlier.written)
	t.seen.addAll(earlier.failed)
	for _, kind := range written {
		for _, id := range slices.Sorted(maps.Keys(earlier.failed[kind])) {
			t.failed = append(t.failed, kindFailure{kind, Failure{ID: id, Err: errFailedBefore}})
		}
	}
	return earlier.next
}

var errFailedBefore = errors.New("failed before the run was interrupted; the next run reads it again")

// list returns the records that are there.
func (t *turn) list(ctx context.Context) (seen, error) {
	there := seen{}
	for _, kind := range written {
		there[kind] = map[string]struct{}{}
		err := t.Store.IDs(ctx, kind, "*", func(ids []string) bool {
			for _, id := range ids {
				there[kind][id] = struct{}{}
			}
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("list %s records: %w", kind, err)
		}
	}
	return there, nil
}
