package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// putBatch is how many records are read and written together.
const putBatch = 500

// How often, and after which pause, records are read again that somebody else
// wrote meanwhile. The first time is at once; then the pause doubles.
const (
	tries      = 4
	firstPause = 100 * time.Millisecond
)

// apply writes page, for which the source was asked after asked. A record that
// somebody wrote since then is read again: which answer is the newer one can't
// be known. So is each organization that the page changed, because a redis-cli
// or an older webhook may have written it, and they leave no time. Afterwards
// the page has what the source said last, and its failures are those that stay
// as they are.
func (t *turn) apply(ctx context.Context, page *Page, asked records.Timestamp) error {
	t.again = page.Again
	page.own()
	late, changed, err := t.put(ctx, page, asked, nil)
	if err != nil {
		return err
	}
	again := late.with(schema.Organization, changed)
	for try := 0; len(again) > 0 && page.Again != nil && t.Mode == records.Write && try < tries; try++ {
		if err := t.pause(ctx, try); err != nil {
			return err
		}
		if asked, err = t.Store.Now(ctx); err != nil {
			return err
		}
		more, err := page.Again(ctx, again)
		if err != nil {
			return err
		}
		more.own()
		if late, _, err = t.put(ctx, &more, asked, changed); err != nil {
			return err
		}
		page.replace(again, more)
		again = late
	}
	for kind, ids := range late {
		for _, id := range ids {
			page.fail(kind, id, records.ErrConflict)
		}
	}
	t.settle(page)
	return nil
}

// settle remembers what page has.
func (t *turn) settle(page *Page) {
	t.seen.addPage(*page)
	for _, kind := range written {
		for _, f := range page.Failed[kind] {
			t.failed = append(t.failed, kindFailure{kind, f})
		}
	}
}

// put writes the records of page and returns those that somebody else wrote
// meanwhile, and the organizations that it changed. A record that can't be
// written becomes a failure of the page. counted are organizations that count
// as changed already.
func (t *turn) put(ctx context.Context, page *Page, asked records.Timestamp, counted []string) (late idsByKind, changed []string, err error) {
	late = idsByKind{}
	for _, kind := range written {
		for entries := range slices.Chunk(slices.Clone(page.Records[kind]), putBatch) {
			results, err := t.Store.PutIfUnchanged(ctx, asked, kind, entries, t.Mode)
			if err != nil {
				return nil, nil, fmt.Errorf("write %s records: %w", kind, err)
			}
			for _, result := range results {
				switch {
				case errors.Is(result.Err, records.ErrConflict):
					late[kind] = append(late[kind], result.ID)
				case result.Err != nil:
					page.fail(kind, result.ID, result.Err)
				case result.Unchanged() && kind == schema.Organization && slices.Contains(counted, result.ID):
				default:
					if err := t.count(kind, result.Change); err != nil {
						return nil, nil, err
					}
					if kind == schema.Organization && len(result.Before) > 0 && !result.Unchanged() {
						changed = append(changed, result.ID)
					}
				}
			}
		}
		if err := t.amend(ctx, kind, page, asked, late); err != nil {
			return nil, nil, err
		}
	}
	return late, changed, nil
}

// amend sets what is known of the page's failures, such as a suspension.
func (t *turn) amend(ctx context.Context, kind schema.Kind, page *Page, asked records.Timestamp, late idsByKind) error {
	for _, f := range page.Failed[kind] {
		if len(f.Known) == 0 || t.Mode == records.DryRun {
			continue
		}
		err := t.Store.UpdateIfUnchanged(ctx, asked, kind, f.ID, f.Known)
		switch {
		case errors.Is(err, records.ErrConflict):
			late[kind] = append(late[kind], f.ID)
		case err != nil && !errors.Is(err, schema.ErrInvalidRecord):
			return fmt.Errorf("write %s records: %w", kind, err)
		}
	}
	return nil
}

func (t *turn) count(kind schema.Kind, c records.Change) error {
	counts := t.summary[kind]
	switch {
	case c.Unchanged():
		counts.Unchanged++
		return nil
	case len(c.Before) == 0:
		counts.New++
	default:
		counts.Changed++
	}
	if t.Changed != nil {
		return t.Changed(kind, c)
	}
	return nil
}

func (t *turn) pause(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	pause := firstPause << (try - 1)
	if t.wait != nil {
		return t.wait(ctx, pause)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
