// Package reconcile makes the records in Redis what a source says they are.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"m2m-token-enricher/cache/records"
	"m2m-token-enricher/schema"
)

// Source is where records are kept.
type Source interface {
	// Pages returns all records, page by page, each page complete in itself:
	// what its applications name is in it or in an earlier one. from is the
	// Next of the page to go on after, "" to begin. After an error there are
	// no further pages.
	Pages(ctx context.Context, from string) iter.Seq2[Page, error]
}

// Confirmer is a source that others hear of changes from, too. It is asked once
// more for records that a run found and changed: what somebody else wrote of a
// later answer, the run may just have replaced with an earlier one.
type Confirmer interface {
	// Confirm returns what the records that ids name are now, but for those that
	// aren't there any more.
	Confirm(ctx context.Context, kind schema.Kind, ids []string) ([]records.Entry, error)
}

// Page is a part of what a source says.
type Page struct {
	Records map[schema.Kind][]records.Entry
	Next    string // where to go on; "" after the last page
}

// Store is what a run needs of the records in Redis; [records.Store] is one.
type Store interface {
	Put(ctx context.Context, kind schema.Kind, entries []records.Entry, mode records.Mode) ([]records.Change, error)
	Delete(ctx context.Context, kind schema.Kind, ids []string, mode records.Mode) (gone []string, err error)
	IDs(ctx context.Context, kind schema.Kind, match string, page func(ids []string) bool) error
}

// Run makes the records what the source says. It can end at any point and be
// repeated: what is as it should be isn't written again.
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

// written is the order in which records are written: nothing names a record
// that isn't there yet. They are deleted in the reverse order.
var written = []schema.Kind{schema.Organization, schema.User, schema.Application}

// Do runs it. The summary says what was done until an error, too.
func (r *Run) Do(ctx context.Context) (Summary, error) {
	summary := Summary{}
	for _, kind := range written {
		summary[kind] = &Counts{}
	}
	checkpoint := r.Checkpoint
	if r.Mode == records.DryRun {
		checkpoint = nil // nothing is written that one could go on after
	}
	before, err := r.list(ctx)
	if err != nil {
		return summary, err
	}
	seen, from := checkpoint.resume(before)
	for page, err := range r.Source.Pages(ctx, from) {
		if err != nil {
			return summary, errors.Join(err, checkpoint.failed(err))
		}
		for _, kind := range written {
			if err := r.put(ctx, kind, page.Records[kind], summary[kind]); err != nil {
				return summary, err
			}
			seen.add(kind, page.Records[kind])
		}
		if err := checkpoint.reached(page); err != nil {
			return summary, err
		}
	}
	if err := ctx.Err(); err != nil {
		return summary, err // the pages may have ended because of it
	}
	// Everything is written. A run after this one shall ask again what is there,
	// also if this one deletes nothing.
	if err := checkpoint.done(); err != nil {
		return summary, err
	}
	return summary, r.deleteOthers(ctx, before, seen, summary)
}

// list returns the records that are there.
func (r *Run) list(ctx context.Context) (seen, error) {
	there := seen{}
	for _, kind := range written {
		there[kind] = map[string]struct{}{}
		err := r.Store.IDs(ctx, kind, "*", func(ids []string) bool {
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

// putBatch is how many records are read and written together.
const putBatch = 500

func (r *Run) put(ctx context.Context, kind schema.Kind, entries []records.Entry, counts *Counts) error {
	for len(entries) > 0 {
		n := min(putBatch, len(entries))
		changes, err := r.Store.Put(ctx, kind, entries[:n], r.Mode)
		if err != nil {
			return fmt.Errorf("write %s records: %w", kind, err)
		}
		entries = entries[n:]
		var changed []string
		for _, c := range changes {
			if err := r.count(kind, c, counts); err != nil {
				return err
			}
			if len(c.Before) > 0 && !c.Nothing() {
				changed = append(changed, c.ID)
			}
		}
		if err := r.confirm(ctx, kind, changed); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) confirm(ctx context.Context, kind schema.Kind, ids []string) error {
	source, ok := r.Source.(Confirmer)
	if !ok || len(ids) == 0 || r.Mode == records.DryRun {
		return nil
	}
	now, err := source.Confirm(ctx, kind, ids)
	if err != nil || len(now) == 0 {
		return err
	}
	if _, err := r.Store.Put(ctx, kind, now, r.Mode); err != nil {
		return fmt.Errorf("write %s records: %w", kind, err)
	}
	return nil
}

func (r *Run) count(kind schema.Kind, c records.Change, counts *Counts) error {
	switch {
	case c.Nothing():
		counts.Unchanged++
		return nil
	case len(c.Before) == 0:
		counts.New++
	default:
		counts.Changed++
	}
	if r.Changed != nil {
		return r.Changed(kind, c)
	}
	return nil
}

// deleteOthers deletes what was there before the run and the source doesn't
// have, of every kind or, beyond the limit, of none. What somebody added
// meanwhile, the source may not have told yet.
func (r *Run) deleteOthers(ctx context.Context, before, seen seen, summary Summary) error {
	others := map[schema.Kind][]string{}
	for _, kind := range written {
		for id := range before[kind] {
			if _, stays := seen[kind][id]; !stays {
				others[kind] = append(others[kind], id)
			}
		}
		if n, of := len(others[kind]), len(before[kind]); !r.MaxDelete.allows(n, of) {
			return fmt.Errorf("%w: %d of %d %s records aren't in the source any more, the limit is %s", ErrTooManyDeletions, n, of, kind, r.MaxDelete)
		}
	}
	for i := len(written) - 1; i >= 0; i-- {
		kind := written[i]
		if err := r.delete(ctx, kind, others[kind], summary[kind]); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) delete(ctx context.Context, kind schema.Kind, ids []string, counts *Counts) error {
	for len(ids) > 0 {
		n := min(putBatch, len(ids))
		gone, err := r.Store.Delete(ctx, kind, ids[:n], r.Mode)
		counts.Deleted += len(gone)
		for _, id := range gone {
			if r.Gone != nil {
				err = errors.Join(err, r.Gone(kind, id))
			}
		}
		if err != nil {
			return fmt.Errorf("delete %s records: %w", kind, err)
		}
		ids = ids[n:]
	}
	return nil
}

// seen are the identifiers that a source has.
type seen map[schema.Kind]map[string]struct{}

func (s seen) add(kind schema.Kind, entries []records.Entry) {
	if s[kind] == nil {
		s[kind] = map[string]struct{}{}
	}
	for _, e := range entries {
		s[kind][e.ID] = struct{}{}
	}
}

// has tells whether s has everything that part has.
func (s seen) has(part seen) bool {
	for kind, ids := range part {
		for id := range ids {
			if _, ok := s[kind][id]; !ok {
				return false
			}
		}
	}
	return true
}
