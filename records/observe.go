package records

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// Moment is a time by the clock of Redis, in µs since 1970. Only Redis's own
// clock is compared, whoever observes and writes.
//
// An observation of a source begins at the Moment that was asked for before the
// source was, and may replace a record only if nobody wrote the record since
// then. Then the answer that the last writer had was obtained before it wrote,
// and so before this observation began. Two observations that overlap can't be
// put in order by their begins: the one that writes later is made again.
type Moment int64

// ErrOvertaken is wrapped by the error of a record that somebody wrote after
// the observation began. The observation must be made again.
var ErrOvertaken = errors.New("written by somebody else since the source was asked")

// Result is what a conditional write did to one record. Err is nil, or wraps
// ErrOvertaken or schema.ErrInvalidRecord: then the record stays as it was.
type Result struct {
	Change
	Err error
}

// Now returns the moment at which an observation begins that is made after the
// call: in a cluster, whose servers have a clock each, the earliest of theirs.
// The error wraps schema.ErrUnavailable.
func (s *Store) Now(ctx context.Context) (Moment, error) {
	var mu sync.Mutex // each master is called in a goroutine of its own
	var earliest Moment
	ask := func(ctx context.Context, server redis.Cmdable) error {
		now, err := server.Time(ctx).Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if m := Moment(now.UnixMicro()); earliest == 0 || m < earliest {
			earliest = m
		}
		return nil
	}
	var err error
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return ask(ctx, master) })
	} else {
		err = ask(ctx, s.client)
	}
	if err != nil {
		return 0, fmt.Errorf("ask Redis for the time: %w: %w", schema.ErrUnavailable, connect.WithoutArguments(err))
	}
	return earliest, nil
}

// PutSince is [Store.Put] by an observation that began at begun. A record that
// can't be kept or was written since is reported in its result, and stops no
// other; the error wraps schema.ErrUnavailable. Records that are as they should
// be are noted as written, too: nothing observed earlier may replace them.
func (s *Store) PutSince(ctx context.Context, begun Moment, kind schema.Kind, entries []Entry, mode Mode) ([]Result, error) {
	results := make([]Result, len(entries))
	var orders []order
	var at []int // the result of each order
	for i, e := range entries {
		results[i].ID = e.ID
		if results[i].After, results[i].Err = s.keepable(kind, e); results[i].Err == nil {
			orders, at = append(orders, order{id: e.ID, set: words(results[i].After)}), append(at, i)
		}
	}
	return results, s.putOrders(ctx, begun, kind, orders, mode, func(i int) *Result { return &results[at[i]] })
}

// keepable returns the record of e as it is kept.
func (s *Store) keepable(kind schema.Kind, e Entry) (schema.Record, error) {
	key := kind.Key(s.prefix, e.ID)
	properties, err := kind.Complete(e.ID, e.Properties)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	_, err = s.noteKey(key)
	return properties, err
}

func (s *Store) putOrders(ctx context.Context, begun Moment, kind schema.Kind, orders []order, mode Mode, result func(i int) *Result) error {
	if mode == DryRun {
		return s.compare(ctx, kind, orders, result)
	}
	answers, err := s.execute(ctx, verbPut, begun, kind, orders)
	for i, a := range answers {
		r := result(i)
		r.Before = a.found
		r.Err = s.reason(a, kind.Key(s.prefix, r.ID))
	}
	return err
}

// compare reads what would be replaced.
func (s *Store) compare(ctx context.Context, kind schema.Kind, orders []order, result func(i int) *Result) error {
	ids := make([]string, len(orders))
	for i, o := range orders {
		ids[i] = o.id
	}
	read, errs := s.read(ctx, kind, ids)
	for i := range read {
		r := result(i)
		r.Before, r.Err = read[i], errs[i]
		if errors.Is(r.Err, schema.ErrUnavailable) {
			return r.Err
		}
	}
	return nil
}

// reason returns why a record wasn't written, nil if it was.
func (s *Store) reason(a answer, key string) error {
	switch a.status {
	case statusOvertaken:
		return fmt.Errorf("%s: %w", key, ErrOvertaken)
	case statusWrongType:
		return connect.NotAHash(key)
	}
	return nil
}

// AmendSince sets properties of a record, by an observation that began at begun
// and could read no others; they stay. It makes no new record. The error wraps
// ErrOvertaken, schema.ErrInvalidRecord or schema.ErrUnavailable.
func (s *Store) AmendSince(ctx context.Context, begun Moment, kind schema.Kind, id string, set schema.Record) error {
	key := kind.Key(s.prefix, id)
	answers, err := s.execute(ctx, verbRenew, begun, kind, []order{{id: id, set: words(set)}})
	if err != nil {
		return err
	}
	return s.reason(answers[0], key)
}

// DeleteSince deletes the records that ids name by an observation that began at
// begun, and returns those that existed, and those that stay because they were
// written since. The error wraps schema.ErrUnavailable; what is returned with it
// is gone.
func (s *Store) DeleteSince(ctx context.Context, begun Moment, kind schema.Kind, ids []string, mode Mode) (gone, overtaken []string, err error) {
	if mode == DryRun {
		gone, err = s.Delete(ctx, kind, ids, mode)
		return gone, nil, err
	}
	answers, err := s.execute(ctx, verbDelete, begun, kind, deletions(ids))
	for i, a := range answers {
		switch a.status {
		case statusOK:
			gone = append(gone, ids[i])
		case statusOvertaken:
			overtaken = append(overtaken, ids[i])
		}
	}
	return gone, overtaken, err
}

func deletions(ids []string) []order {
	orders := make([]order, len(ids))
	for i, id := range ids {
		orders[i].id = id
	}
	return orders
}

// Outdate makes observations of the record that began before it overtaken, and
// leaves the record as it is, also if there is none. The error wraps
// schema.ErrUnavailable.
func (s *Store) Outdate(ctx context.Context, kind schema.Kind, id string) error {
	_, err := s.execute(ctx, verbNote, 0, kind, []order{{id: id}})
	return err
}
