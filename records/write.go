package records

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"m2m-token-enricher/cache/connect"
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
// that differ; each changes at once or not at all. No identifier may come
// twice. It returns the changes in the order of the entries, those that are
// nothing too. The error wraps schema.ErrInvalidRecord or
// schema.ErrUnavailable; records other than the one that it names may have been
// written, and Put can be repeated.
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
	return changes, s.replace(ctx, kind, changes)
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
	return c, s.amend(ctx, kind, c)
}

// Delete deletes the records that ids name and returns those that existed. The
// error wraps schema.ErrUnavailable; what is returned with it is gone.
func (s *Store) Delete(ctx context.Context, kind schema.Kind, ids []string, mode Mode) (gone []string, err error) {
	if mode == DryRun {
		return s.existing(ctx, kind, ids)
	}
	answers, err := s.execute(ctx, verbDelete, 0, kind, deletions(ids))
	for i, a := range answers {
		if a.status == statusOK {
			gone = append(gone, ids[i])
		}
	}
	return gone, err
}

func (s *Store) existing(ctx context.Context, kind schema.Kind, ids []string) (there []string, err error) {
	pipe := s.client.Pipeline()
	answers := make([]*redis.IntCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.Exists(ctx, kind.Key(s.prefix, id))
	}
	exec(ctx, pipe)
	for i, answer := range answers {
		if err := answer.Err(); err != nil {
			return there, connect.RecordError(kind.Key(s.prefix, ids[i]), err)
		}
		if answer.Val() > 0 {
			there = append(there, ids[i])
		}
	}
	return there, nil
}

// clusterWriters is how many records are written at once to a cluster, where
// one transaction can't have them all.
const clusterWriters = 16

// replace makes each record that isn't as its change says exactly that. It is
// written as a whole: of two that write one record at the same time one wins,
// and the record isn't made of both.
func (s *Store) replace(ctx context.Context, kind schema.Kind, changes []Change) error {
	differing := slices.DeleteFunc(slices.Clone(changes), Change.Nothing)
	if !s.isCluster() {
		return s.transact(ctx, kind, differing)
	}
	var group errgroup.Group
	group.SetLimit(clusterWriters)
	for _, c := range differing {
		group.Go(func() error { return s.transact(ctx, kind, []Change{c}) })
	}
	return group.Wait()
}

// transact writes records in one transaction, their notes first. A script does
// only that: it would be much slower for whole records.
func (s *Store) transact(ctx context.Context, kind schema.Kind, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	notes := make([]string, len(changes))
	for i, c := range changes {
		note, err := s.noteKey(kind.Key(s.prefix, c.ID))
		if err != nil {
			return err
		}
		notes[i] = note
	}
	done, err := s.replaceBy(ctx, noteScript.EvalSha, notes, kind, changes)
	if len(done) > 0 && redis.HasErrorPrefix(done[0].Err(), "NOSCRIPT") {
		done, err = s.replaceBy(ctx, noteScript.Eval, notes, kind, changes) // the records were written without their notes
	}
	if err == nil {
		return nil
	}
	at, cause := culprit(done, err)
	return connect.RecordError(kind.Key(s.prefix, changes[max(0, at-1)/2].ID), withoutRight(cause))
}

// culprit returns which command made a transaction fail as a whole, and why: the
// others only have the word that it was discarded.
func culprit(done []redis.Cmder, err error) (at int, cause error) {
	for i, command := range done {
		if failed := command.Err(); failed != nil && !redis.HasErrorPrefix(failed, "EXECABORT") {
			return i, failed
		}
	}
	return 0, err
}

// replaceBy is one transaction, in which note writes the notes.
func (s *Store) replaceBy(ctx context.Context, note func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd,
	notes []string, kind schema.Kind, changes []Change,
) ([]redis.Cmder, error) {
	pipe := s.client.TxPipeline()
	note(ctx, pipe, notes, noteSeconds)
	for _, c := range changes {
		key := kind.Key(s.prefix, c.ID)
		pipe.Del(ctx, key)
		pipe.HSet(ctx, key, map[string]string(c.After))
	}
	return pipe.Exec(ctx)
}

// words returns names and values in turn.
func words(r schema.Record) []string {
	list := make([]string, 0, 2*len(r))
	for name, value := range r {
		list = append(list, name, value)
	}
	return list
}

// amend makes one change without touching the properties that it leaves, which
// somebody else may change at the same time.
func (s *Store) amend(ctx context.Context, kind schema.Kind, c Change) error {
	set, unset := c.difference()
	if len(set)+len(unset) == 0 {
		return nil
	}
	_, err := s.execute(ctx, verbAmend, 0, kind, []order{{c.ID, set, unset}})
	return err
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
