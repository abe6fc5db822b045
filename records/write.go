package records

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// Change is what one write does to a record. Before is empty if it is new.
type Change struct {
	ID     string        `json:"id"`
	Before schema.Record `json:"before,omitempty"`
	After  schema.Record `json:"after,omitempty"`
}

// Unchanged reports whether the record stays as it is.
func (c Change) Unchanged() bool { return maps.Equal(c.Before, c.After) }

// Counts counts what writes did to records.
type Counts struct {
	New       int `json:"new"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
}

// Add counts c, and reports whether it changes the record.
func (n *Counts) Add(c Change) bool {
	switch {
	case c.Unchanged():
		n.Unchanged++
		return false
	case len(c.Before) == 0:
		n.New++
	default:
		n.Changed++
	}
	return true
}

// Mode says whether a write is made or only reported.
type Mode bool

// The modes of a write.
const (
	Write  Mode = false
	DryRun Mode = true
)

// Put makes every record exactly what its entry says, and writes only those that
// differ. No identifier may come twice. It returns the changes in the order of
// the entries, including the empty ones. Of two writers of one record one wins:
// the record is never made of both. The error wraps schema.ErrInvalidRecord or
// schema.ErrUnavailable; after it, some records may have been written. Put can
// be repeated.
func (s *Store) Put(ctx context.Context, kind schema.Kind, entries []Entry, mode Mode) ([]Change, error) {
	complete := make([]Entry, len(entries))
	for i, e := range entries {
		properties, err := kind.Complete(e.ID, e.Properties)
		if err = errors.Join(s.names.Check(kind, e.Properties), err); err != nil {
			return nil, fmt.Errorf("%s: %w", kind.Key(s.prefix, e.ID), err)
		}
		complete[i] = Entry{e.ID, properties}
	}
	return s.put(ctx, kind, complete, mode)
}

// put puts entries that are complete.
func (s *Store) put(ctx context.Context, kind schema.Kind, entries []Entry, mode Mode) ([]Change, error) {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	before, err := s.Read(ctx, kind, ids)
	if err != nil {
		return nil, err
	}
	changes := make([]Change, len(entries))
	var writes []write
	for i, e := range entries {
		changes[i] = Change{e.ID, before[i], e.Properties}
		if !changes[i].Unchanged() {
			writes = append(writes, write{id: e.ID, set: e.Properties})
		}
	}
	if mode == Write {
		_, err = s.execute(ctx, opPut, 0, kind, writes)
	}
	return changes, err
}

var errNothingToDo = errors.New("no property to set or unset")

// Patch sets and unsets properties of one record, all at once. The others stay,
// even if somebody else changes them at the same time, and whatever they are called:
// a name that may be taken for another one mustn't keep a suspension from being
// set. Its errors are those of Put.
func (s *Store) Patch(ctx context.Context, kind schema.Kind, id string, set schema.Record, unset []string, mode Mode) (Change, error) {
	if len(set)+len(unset) == 0 {
		return Change{}, errNothingToDo
	}
	if err := s.names.Check(kind, set); err != nil {
		return Change{}, fmt.Errorf("%s: %w", kind.Key(s.prefix, id), err)
	}
	read, err := s.Read(ctx, kind, []string{id})
	if err != nil {
		return Change{}, err
	}
	c := Change{ID: id, Before: read[0], After: schema.Record{}}
	maps.Copy(c.After, c.Before)
	maps.Copy(c.After, set)
	for _, name := range unset {
		delete(c.After, name)
	}
	if c.After, err = kind.Complete(id, c.After); err != nil {
		return Change{}, fmt.Errorf("%s: %w", kind.Key(s.prefix, id), err)
	}
	if mode == Write && !c.Unchanged() {
		_, err = s.execute(ctx, opAmend, 0, kind, []write{c.difference()})
	}
	return c, err
}

// difference returns what to set and unset.
func (c Change) difference() write {
	w := write{id: c.ID, set: schema.Record{}}
	for name, value := range c.After {
		if c.Before[name] != value {
			w.set[name] = value
		}
	}
	for name := range c.Before {
		if _, stays := c.After[name]; !stays {
			w.unset = append(w.unset, name)
		}
	}
	slices.Sort(w.unset)
	return w
}

// Delete deletes records and returns the identifiers of those that existed. The
// error wraps schema.ErrUnavailable; what is returned with it was deleted.
func (s *Store) Delete(ctx context.Context, kind schema.Kind, ids []string, mode Mode) (deleted []string, err error) {
	deleted, _, err = s.DeleteIfUnchanged(ctx, 0, kind, ids, mode)
	return deleted, err
}

func (s *Store) existing(ctx context.Context, kind schema.Kind, ids []string) (existing []string, err error) {
	pipe := s.client.Pipeline()
	answers := make([]*redis.IntCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.Exists(ctx, kind.Key(s.prefix, id))
	}
	exec(ctx, pipe)
	for i, answer := range answers {
		if err := answer.Err(); err != nil {
			return existing, connect.RecordError(kind.Key(s.prefix, ids[i]), err)
		}
		if answer.Val() > 0 {
			existing = append(existing, ids[i])
		}
	}
	return existing, nil
}
