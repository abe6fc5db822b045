package records

import (
	"context"
	"errors"
	"fmt"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// ErrConflict is wrapped by the error of a record that somebody else wrote after
// the source was asked. Which answer is newer can't be known: the source must be
// asked again.
var ErrConflict = errors.New("written by somebody else since the source was asked")

// Result is what a conditional write did to one record. Err is nil, or wraps
// ErrConflict or schema.ErrInvalidRecord. Then the record stays as it was.
type Result struct {
	Change
	Err error
}

// PutIfUnchanged is [Store.Put] for an answer of a source that was asked after
// since. A record that is invalid or was written since reports so in its result,
// and stops no other. An unchanged record gets a new timestamp, too: no older
// answer may replace it. The error wraps schema.ErrUnavailable.
func (s *Store) PutIfUnchanged(ctx context.Context, since Timestamp, kind schema.Kind, entries []Entry, mode Mode) ([]Result, error) {
	results := make([]Result, len(entries))
	var valid []*Result
	for i, e := range entries {
		r := &results[i]
		r.ID = e.ID
		if r.After, r.Err = s.validate(kind, e); r.Err == nil {
			valid = append(valid, r)
		}
	}
	if mode == DryRun {
		return results, s.compare(ctx, kind, valid)
	}
	writes := make([]write, len(valid))
	for i, r := range valid {
		writes[i] = write{id: r.ID, set: r.After}
	}
	replies, err := s.execute(ctx, opPut, since, kind, writes)
	for i, reply := range replies {
		valid[i].Before, valid[i].Err = reply.previous, reply.err(kind.Key(s.prefix, valid[i].ID))
	}
	return results, err
}

// validate returns the properties of e as Redis keeps them.
func (s *Store) validate(kind schema.Kind, e Entry) (schema.Record, error) {
	key := kind.Key(s.prefix, e.ID)
	properties, err := kind.Complete(e.ID, e.Properties)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	_, err = s.timestampKey(key)
	return properties, err
}

// compare reads what would be replaced.
func (s *Store) compare(ctx context.Context, kind schema.Kind, results []*Result) error {
	ids := make([]string, len(results))
	for i, r := range results {
		ids[i] = r.ID
	}
	read, errs := s.read(ctx, kind, ids)
	for i, r := range results {
		r.Before, r.Err = read[i], errs[i]
		if errors.Is(r.Err, schema.ErrUnavailable) {
			return r.Err
		}
	}
	return nil
}

// err returns why the record at key wasn't written, nil if it was.
func (r reply) err(key string) error {
	switch r.status {
	case statusConflict:
		return fmt.Errorf("%s: %w", key, ErrConflict)
	case statusWrongType:
		return connect.NotAHash(key)
	}
	return nil
}

// UpdateIfUnchanged sets properties of a record, if it exists, for an answer of
// a source that was asked after since. The other properties stay. The error
// wraps ErrConflict, schema.ErrInvalidRecord or schema.ErrUnavailable.
func (s *Store) UpdateIfUnchanged(ctx context.Context, since Timestamp, kind schema.Kind, id string, set schema.Record) error {
	replies, err := s.execute(ctx, opUpdate, since, kind, []write{{id: id, set: set}})
	if err != nil {
		return err
	}
	return replies[0].err(kind.Key(s.prefix, id))
}

// DeleteIfUnchanged deletes records for an answer of a source that was asked
// after since. It returns the identifiers of those that it deleted, and of those
// that stay because somebody wrote them since. The error wraps
// schema.ErrUnavailable; what is returned with it was deleted.
func (s *Store) DeleteIfUnchanged(ctx context.Context, since Timestamp, kind schema.Kind, ids []string, mode Mode) (deleted, conflicts []string, err error) {
	if mode == DryRun {
		deleted, err = s.existing(ctx, kind, ids)
		return deleted, nil, err
	}
	writes := make([]write, len(ids))
	for i, id := range ids {
		writes[i].id = id
	}
	replies, err := s.execute(ctx, opDelete, since, kind, writes)
	for i, reply := range replies {
		switch reply.status {
		case statusOK:
			deleted = append(deleted, ids[i])
		case statusConflict:
			conflicts = append(conflicts, ids[i])
		}
	}
	return deleted, conflicts, err
}

// Touch gives a record a new timestamp, even if the record doesn't exist. So no
// older answer of a source may replace it. The error wraps
// schema.ErrUnavailable.
func (s *Store) Touch(ctx context.Context, kind schema.Kind, id string) error {
	_, err := s.execute(ctx, opAmend, 0, kind, []write{{id: id}})
	return err
}
