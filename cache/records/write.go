package records

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
)

// Change is what one write does to a record. Before is empty if there was none.
type Change struct {
	ID     string        `json:"id"`
	Before schema.Record `json:"before,omitempty"`
	After  schema.Record `json:"after,omitempty"`
}

// Nothing tells whether the record stays as it is.
func (c Change) Nothing() bool { return maps.Equal(c.Before, c.After) }

// Mode says whether a write is made or only told.
type Mode bool

// The modes of a write.
const (
	Write  Mode = false
	DryRun Mode = true
)

// Put makes every record exactly what its entry says, and writes those only
// that differ; each changes at once or not at all. It returns the changes in
// the order of the entries, those that are nothing too. The error wraps
// schema.ErrInvalidRecord or schema.ErrUnavailable; records before the one that
// it names may have been written, and Put can be repeated.
func (s *Store) Put(ctx context.Context, kind schema.Kind, entries []Entry, mode Mode) ([]Change, error) {
	complete := make([]Entry, len(entries))
	for i, e := range entries {
		properties, err := kind.Complete(e.ID, e.Properties)
		if err != nil {
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
	for i, e := range entries {
		changes[i] = Change{e.ID, before[i], e.Properties}
	}
	if mode == DryRun {
		return changes, nil
	}
	return changes, s.apply(ctx, kind, changes)
}

// Patch sets and unsets properties of one record, all at once. The error is as
// that of Put.
func (s *Store) Patch(ctx context.Context, kind schema.Kind, id string, set schema.Record, unset []string, mode Mode) (Change, error) {
	if len(set)+len(unset) == 0 {
		return Change{}, errNothingToDo
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
	if mode == DryRun {
		return c, nil
	}
	return c, s.apply(ctx, kind, []Change{c})
}

// Delete deletes the records that ids name and returns those that existed. The
// error wraps schema.ErrUnavailable; what is returned with it is gone.
func (s *Store) Delete(ctx context.Context, kind schema.Kind, ids []string, mode Mode) (gone []string, err error) {
	pipe := s.client.Pipeline()
	answers := make([]*redis.IntCmd, len(ids))
	for i, id := range ids {
		if key := kind.Key(s.prefix, id); mode == DryRun {
			answers[i] = pipe.Exists(ctx, key)
		} else {
			answers[i] = pipe.Del(ctx, key)
		}
	}
	_, _ = pipe.Exec(ctx) // each answer has its own error
	for i, answer := range answers {
		if err := answer.Err(); err != nil {
			return gone, asRecordError(kind.Key(s.prefix, ids[i]), err)
		}
		if answer.Val() > 0 {
			gone = append(gone, ids[i])
		}
	}
	return gone, nil
}

// apply makes the changes that aren't nothing. One command changes a record at
// once; two do in a transaction.
func (s *Store) apply(ctx context.Context, kind schema.Kind, changes []Change) error {
	pipe := s.client.Pipeline()
	var keys []string
	var twofold []Change
	for _, c := range changes {
		key := kind.Key(s.prefix, c.ID)
		set, unset := c.difference()
		switch {
		case len(set) > 0 && len(unset) > 0:
			twofold = append(twofold, c)
			continue
		case len(set) > 0:
			pipe.HSet(ctx, key, set)
		case len(unset) > 0:
			pipe.HDel(ctx, key, unset...)
		default:
			continue
		}
		keys = append(keys, key)
	}
	done, _ := pipe.Exec(ctx) // each command has its own error
	for i, command := range done {
		if err := command.Err(); err != nil {
			return asRecordError(keys[i], err)
		}
	}
	for _, c := range twofold {
		if err := s.replace(ctx, kind.Key(s.prefix, c.ID), c); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) replace(ctx context.Context, key string, c Change) error {
	set, unset := c.difference()
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.HSet(ctx, key, set)
		pipe.HDel(ctx, key, unset...)
		return nil
	})
	if err != nil {
		return asRecordError(key, err)
	}
	return nil
}

// difference returns the properties to set, as names and values in turn, and
// those to unset.
func (c Change) difference() (set, unset []string) {
	for name, value := range c.After {
		if c.Before[name] != value {
			set = append(set, name, value)
		}
	}
	for name := range c.Before {
		if _, stays := c.After[name]; !stays {
			unset = append(unset, name)
		}
	}
	slices.Sort(unset)
	return set, unset
}
