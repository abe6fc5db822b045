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

// A record that somebody else wrote meanwhile is read again: at once, and then
// after a pause that doubles.
const (
	maxRereads = 4
	firstPause = 100 * time.Millisecond
)

// apply writes page, for which the source was asked after asked, and returns it
// with the latest answers of the source.
//
// A record that somebody wrote since is read again, because it isn't known which
// answer is newer. So is each organization that the page changed: redis-cli may
// have written it, and that leaves no timestamp.
func (p *progress) apply(ctx context.Context, page Page, asked records.Timestamp) (Page, error) {
	p.reread = page.Reread
	page = page.clone()
	conflicts, changed, err := p.put(ctx, &page, asked, nil)
	if err != nil {
		return page, err
	}
	if page.Reread != nil && p.Mode == records.Write {
		again := conflicts
		if len(changed) > 0 { // a record is changed or a conflict, never both
			again[schema.Organization] = append(again[schema.Organization], changed...)
		}
		if conflicts, err = p.readAgain(ctx, &page, again, changed); err != nil {
			return page, err
		}
	}
	for kind, ids := range conflicts {
		for _, id := range ids {
			page.fail(kind, id, records.ErrConflict)
		}
	}
	p.inSource.addPage(page)
	for _, kind := range writeOrder {
		for _, f := range page.Failed[kind] {
			p.failed = append(p.failed, kindFailure{kind, f})
		}
	}
	return page, nil
}

// readAgain reads the records of ids again and writes them, until nobody else
// writes them meanwhile. It returns the conflicts that are left. changed are the
// organizations that were counted as changed already.
func (p *progress) readAgain(ctx context.Context, page *Page, ids idLists, changed []string) (conflicts idLists, err error) {
	for n := 0; len(ids) > 0 && n < maxRereads; n++ {
		if err := pause(ctx, n); err != nil {
			return nil, err
		}
		asked, err := p.Store.Now(ctx)
		if err != nil {
			return nil, err
		}
		reread, err := page.Reread(ctx, ids)
		if err != nil {
			return nil, err
		}
		reread = reread.clone()
		conflicts, _, err := p.put(ctx, &reread, asked, changed)
		if err != nil {
			return nil, err
		}
		page.replace(ids, reread)
		ids = conflicts
	}
	return ids, nil
}

// pause waits before the records are read again for the n-th time, from 0.
func pause(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	select {
	case <-time.After(firstPause << (n - 1)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put writes the records of page. It returns those that somebody else wrote
// meanwhile, no kind with an empty list, and the organizations that it changed. A record that can't be
// written becomes a failure of the page. counted are the organizations that were
// counted as changed already.
func (p *progress) put(ctx context.Context, page *Page, asked records.Timestamp, counted []string) (conflicts idLists, changed []string, err error) {
	conflicts = idLists{}
	for _, kind := range writeOrder {
		for entries := range slices.Chunk(slices.Clone(page.Records[kind]), putBatch) {
			results, err := p.Store.PutIfUnchanged(ctx, asked, kind, entries, p.Mode)
			if err != nil {
				return nil, nil, fmt.Errorf("write %s records: %w", kind, err)
			}
			for _, result := range results {
				switch {
				case errors.Is(result.Err, records.ErrConflict):
					conflicts[kind] = append(conflicts[kind], result.ID)
				case result.Err != nil:
					page.fail(kind, result.ID, result.Err)
				case result.Unchanged() && kind == schema.Organization && slices.Contains(counted, result.ID):
				default:
					if err := p.count(kind, result.Change); err != nil {
						return nil, nil, err
					}
					if kind == schema.Organization && len(result.Before) > 0 && !result.Unchanged() {
						changed = append(changed, result.ID)
					}
				}
			}
		}
		if err := p.updateFailed(ctx, kind, page, asked, conflicts); err != nil {
			return nil, nil, err
		}
	}
	return conflicts, changed, nil
}

// updateFailed sets the known properties of the page's failures, such as a
// suspension.
func (p *progress) updateFailed(ctx context.Context, kind schema.Kind, page *Page, asked records.Timestamp, conflicts idLists) error {
	for _, f := range page.Failed[kind] {
		if len(f.Known) == 0 || p.Mode == records.DryRun {
			continue
		}
		err := p.Store.UpdateIfUnchanged(ctx, asked, kind, f.ID, f.Known)
		switch {
		case errors.Is(err, records.ErrConflict):
			conflicts[kind] = append(conflicts[kind], f.ID)
		case err != nil && !errors.Is(err, schema.ErrInvalidRecord):
			return fmt.Errorf("write %s records: %w", kind, err)
		}
	}
	return nil
}

func (p *progress) count(kind schema.Kind, c records.Change) error {
	if p.summary[kind].Add(c) && p.Changed != nil {
		return p.Changed(kind, c)
	}
	return nil
}
