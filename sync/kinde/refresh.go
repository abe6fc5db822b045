package kinde

import (
	"context"
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// How often, and after which pause, an organization is asked for again whose
// record somebody else wrote meanwhile. The first time is at once; then the
// pause doubles.
const (
	refreshes    = 5
	refreshPause = 100 * time.Millisecond
)

// refresh makes the record of an organization what the tenant says now.
func (h *Webhook) refresh(ctx context.Context, code string) (what string, err error) {
	for n := range refreshes {
		if n > 1 {
			if err := h.client.wait(ctx, refreshPause<<(n-2)); err != nil {
				return "", err
			}
		}
		what, err = h.refreshOnce(ctx, code)
		if !errors.Is(err, records.ErrConflict) {
			return what, err
		}
	}
	return "", err
}

// refreshOnce is refresh, unless somebody else writes the record meanwhile: then
// the error wraps records.ErrConflict, and the record stays as it is.
func (h *Webhook) refreshOnce(ctx context.Context, code string) (what string, err error) {
	if exists, err := h.exists(ctx, code); err != nil || !exists {
		return "has no record", err
	}
	begun, err := h.store.Now(ctx)
	if err != nil {
		return "", err
	}
	properties, err := h.client.Organization(ctx, code)
	if errors.Is(err, ErrNotFound) {
		return "deleted", h.delete(ctx, begun, code)
	}
	if known := knownOf(err); known != nil {
		return "", errors.Join(h.store.UpdateIfUnchanged(ctx, begun, schema.Organization, code, known), err)
	}
	if err != nil {
		return "", err
	}
	results, err := h.store.PutIfUnchanged(ctx, begun, schema.Organization, []records.Entry{{ID: code, Properties: properties}}, records.Write)
	switch {
	case err != nil:
		return "", err
	case results[0].Err != nil:
		return "", results[0].Err
	case results[0].Unchanged():
		return "unchanged", nil
	}
	return "updated", nil
}

// exists reports whether the organization has a record. One without is none that
// an application names. But a run may have asked for it before the event, to
// write its first record: after exists, that answer no longer counts.
func (h *Webhook) exists(ctx context.Context, code string) (bool, error) {
	for n := range 2 {
		_, err := h.store.Get(ctx, schema.Organization, code)
		switch {
		case errors.Is(err, schema.ErrUnavailable):
			return false, err
		case !errors.Is(err, schema.ErrNoRecord):
			return true, nil // also a record that is invalid
		case n > 0:
			return false, nil
		}
		if err := h.store.Touch(ctx, schema.Organization, code); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (h *Webhook) delete(ctx context.Context, begun records.Timestamp, code string) error {
	_, overtaken, err := h.store.DeleteIfUnchanged(ctx, begun, schema.Organization, []string{code}, records.Write)
	if err == nil && len(overtaken) > 0 {
		err = fmt.Errorf("organization %s: %w", code, records.ErrConflict)
	}
	return err
}
