package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"m2m-token-enricher/schema"
)

// deleteOthers deletes the records that the source doesn't have. If those of any
// kind exceed the limit, it deletes none. What somebody wrote after the run
// started stays: the source may not have had it yet.
func (p *progress) deleteOthers(ctx context.Context) error {
	others := idLists{}
	for _, kind := range writeOrder {
		for id := range p.inRedis[kind] {
			if _, stays := p.inSource[kind][id]; !stays {
				others[kind] = append(others[kind], id)
			}
		}
		if err := p.spare(ctx, kind, others); err != nil {
			return err
		}
		if n, of := len(others[kind]), len(p.inRedis[kind]); !p.MaxDelete.allows(n, of) {
			return fmt.Errorf("%w: %d of %d %s records aren't in the source any more, the limit is %s", ErrTooManyDeletions, n, of, kind, p.MaxDelete)
		}
	}
	for _, kind := range slices.Backward(writeOrder) {
		if err := p.delete(ctx, kind, others[kind]); err != nil {
			return err
		}
	}
	return nil
}

// spare removes from others the organizations or users that the source has. This
// matters only if an application couldn't be read, because it may name them.
func (p *progress) spare(ctx context.Context, kind schema.Kind, others idLists) error {
	if kind == schema.Application || p.reread == nil || !p.failed.of(schema.Application) {
		return nil
	}
	inSource := idSets{}
	for ids := range slices.Chunk(others[kind], putBatch) {
		page, err := p.reread(ctx, idLists{kind: ids})
		if err != nil {
			return err
		}
		inSource.addPage(page)
	}
	others[kind] = slices.DeleteFunc(others[kind], func(id string) bool {
		_, stays := inSource[kind][id]
		return stays
	})
	return nil
}

func (p *progress) delete(ctx context.Context, kind schema.Kind, ids []string) error {
	for part := range slices.Chunk(ids, putBatch) {
		deleted, _, err := p.Store.DeleteIfUnchanged(ctx, p.started, kind, part, p.Mode)
		p.summary[kind].Deleted += len(deleted)
		for _, id := range deleted {
			if p.Deleted != nil {
				err = errors.Join(err, p.Deleted(kind, id))
			}
		}
		if err != nil {
			return fmt.Errorf("delete %s records: %w", kind, err)
		}
	}
	return nil
}
