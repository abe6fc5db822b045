package kinde

import (
	"context"
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// An organization whose record somebody else wrote meanwhile is asked for again:
// at once, and then after a pause that doubles.
const (
	refreshes    = 5
	refreshPause = 100 * time.Millisecond
)

// refresh makes the record of an organization equal to the tenant's answer.
func (h *Webhook) refresh(ctx context.Context, code string) (result string, err error) {
	for n := range refreshes {
		if n > 1 {
			if err := h.client.wait(ctx, refreshPause<<(n-2)); err != nil {
				return "", err
			}
		}
		result, err = h.refreshOnce(ctx, code)
		if !errors.Is(err, records.ErrConflict) {
			return result, err
		}
	}
	return "", err
}

// refreshOnce is refresh, unless somebody else writes the record meanwhile. Then
// the error wraps records.ErrConflict, and the record stays as it is.
func (h *Webhook) refreshOnce(ctx context.Context, code string) (result string, err error) {
	if exists, err := h.exists(ctx, code); err != nil || !exists {
		return "has no record", err
	}
	asked, err := h.store.Now(ctx)
	if err != nil {
		return "", err
	}
	properties, err := h.client.Organization(ctx, code)
	if errors.Is(err, ErrNotFound) {
		return "deleted", h.delete(ctx, asked, code)
	}
	if known := knownProperties(err); known != nil {
		return "", errors.Join(h.store.UpdateIfUnchanged(ctx, asked, schema.Organization, code, known), err)
	}
	if err != nil {
		return "", err
	}
	results, err := h.store.PutIfUnchanged(ctx, asked, schema.Organization, []records.Entry{{ID: code, Properties: properties}}, records.Write)
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

// exists reports whether the organization has a record. No application names one
// without a record. But a run may have asked for it before the event, to write
// its first record. The new timestamp makes that answer a conflict.
func (h *Webhook) exists(ctx context.Context, code string) (bool, error) {
	for touched := false; ; touched = true {
		_, err := h.store.Get(ctx, schema.Organization, code)
		switch {
		case errors.Is(err, schema.ErrUnavailable):
			return false, err
		case !errors.Is(err, schema.ErrNoRecord):
			return true, nil // even if the record is invalid
		case touched:
			return false, nil
		}
		if err := h.store.Touch(ctx, schema.Organization, code); err != nil {
			return false, err
		}
	}
}

func (h *Webhook) delete(ctx context.Context, asked records.Timestamp, code string) error {
	_, conflicts, err := h.store.DeleteIfUnchanged(ctx, asked, schema.Organization, []string{code}, records.Write)
	if err == nil && len(conflicts) > 0 {
		err = fmt.Errorf("organization %s: %w", code, records.ErrConflict)
	}
	return err
}
