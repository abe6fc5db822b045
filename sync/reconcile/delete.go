package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"m2m-token-enricher/schema"
)

// deleteOthers deletes what was there before the run and the source doesn't
// have, of every kind or, beyond the limit, of none. What somebody wrote since
// the run began stays: the source may not have said it yet.
func (t *turn) deleteOthers(ctx context.Context) error {
	others := idsByKind{}
	for _, kind := range written {
		for id := range t.before[kind] {
			if _, stays := t.seen[kind][id]; !stays {
				others[kind] = append(others[kind], id)
			}
		}
		if err := t.spare(ctx, kind, others); err != nil {
			return err
		}
		if n, of := len(others[kind]), len(t.before[kind]); !t.MaxDelete.allows(n, of) {
			return fmt.Errorf("%w: %d of %d %s records aren't in the source any more, the limit is %s", ErrTooManyDeletions, n, of, kind, t.MaxDelete)
		}
	}
	for _, kind := range slices.Backward(written) {
		if err := t.delete(ctx, kind, others[kind]); err != nil {
			return err
		}
	}
	return nil
}

// spare takes out of others the organizations or users that the source has. It
// is asked for them only if an application couldn't be read: then nobody knows
// which of them that one names.
func (t *turn) spare(ctx context.Context, kind schema.Kind, others idsByKind) error {
	if kind == schema.Application || t.again == nil || !t.failed.of(schema.Application) {
		return nil
	}
	there := seen{}
	for ids := range slices.Chunk(others[kind], putBatch) {
		page, err := t.again(ctx, idsByKind{kind: ids})
		if err != nil {
			return err
		}
		there.addPage(page)
	}
	others[kind] = slices.DeleteFunc(others[kind], func(id string) bool {
		_, stays := there[kind][id]
		return stays
	})
	return nil
}

func (t *turn) delete(ctx context.Context, kind schema.Kind, ids []string) error {
	for part := range slices.Chunk(ids, putBatch) {
		gone, _, err := t.Store.DeleteIfUnchanged(ctx, t.begun, kind, part, t.Mode)
		t.summary[kind].Deleted += len(gone)
		for _, id := range gone {
			if t.Gone != nil {
				err = errors.Join(err, t.Gone(kind, id))
			}
		}
		if err != nil {
			return fmt.Errorf("delete %s records: %w", kind, err)
		}
	}
	return nil
}
