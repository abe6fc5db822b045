// Package cache looks records up in Redis through a bounded in-process tier.
package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// Records looks up the records of one configuration. Safe for concurrent use.
type Records struct {
	store   source
	where   string
	cfg     schema.Cache
	redis   schema.Redis
	prefix  string
	budget  time.Duration // of one question to the store
	now     func() time.Time
	jitter  func() float64 // in [0, 1)
	tier    *tier
	nodes   *nodes
	tracker *tracker // nil without cache.invalidation
	stats   stats

	properties map[schema.Kind][]string // those that a record has
	copied     chan struct{}            // closed when what another one had is held

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// source is where records come from. The errors of fetch are those of
// [Records.Record].
type source interface {
	fetch(ctx context.Context, kind schema.Kind, id string) (schema.Record, error)
	count(ctx context.Context, limit int) (int, error)
	close() error
}

// sharded is a source on several servers: node returns the address of the one
// that has key, "" if it isn't known, without asking any.
type sharded interface{ node(key string) string }

// New returns the records that cfg says. It doesn't wait for a connection. Unless
// from is nil, the records that it has are taken over: it must serve cfg. They
// are copied in the background; lookups wait for that.
func New(cfg *schema.Config, from *Records) *Records {
	r := newRecords(cfg, newStore(cfg), time.Now)
	if from != nil {
		r.copied = make(chan struct{})
		r.running.Go(func() { // ends, so that from isn't kept
			defer close(r.copied)
			r.copy(from)
		})
	}
	if cfg.Cache.Invalidation {
		r.tracker = newTracker(cfg, r.tier)
		r.running.Go(func() {
			<-r.copied // of what isn't held yet nothing can be told
			r.tracker.run(r.ctx)
		})
	}
	return r
}

func newRecords(cfg *schema.Config, store source, now func() time.Time) *Records {
	ctx, cancel := context.WithCancel(context.Background())
	nothing := make(chan struct{})
	close(nothing)
	return &Records{
		store: store, where: connect.Describe(cfg.Redis), cfg: cfg.Cache,
		redis: cfg.Redis, prefix: cfg.Prefix, properties: declared(cfg), copied: nothing,
		budget: connect.Budget(cfg.Redis),
		now:    now, jitter: rand.Float64,
		tier:  newTier(cfg.Cache.MaxEntries, cfg.Cache.MaxBytes),
		nodes: newNodes(max(1, cfg.Redis.PoolSize)),
		ctx:   ctx, cancel: cancel,
	}
}

// Record returns the record of kind that id names. The error wraps
// schema.ErrNoRecord or schema.ErrInvalidRecord if Redis said so, and
// schema.ErrUnavailable if it said nothing and nothing held is fresh enough. In
// that last case the record, if it isn't nil, is the last one known: too old to
// issue a token by, but good enough to refuse one. It must not be modified.
func (r *Records) Record(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	key := kind.Key(r.prefix, id)
	select {
	case <-r.copied:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w: wait for the cached records: %w", key, schema.ErrUnavailable, ctx.Err())
	}
	now := r.now()
	last, held, fresh := r.tier.get(key, now)
	if fresh {
		r.stats.hits.Add(1)
		return last.record, last.err
	}
	r.stats.misses.Add(1)
	stale := held && last.younger(seconds(r.cfg.TTL+r.cfg.StaleTTL), now)
	if stale {
		var cancel context.CancelFunc
		ctx, cancel = half(ctx) // what serves the stale record needs time, too
		defer cancel()
	}
	answer, err := r.ask(ctx, key, kind, id)
	switch {
	case err == nil:
		return answer.record, answer.err
	case stale:
		return r.staleNow(key, err)
	case !held || last.err != nil:
		return nil, err
	}
	return last.record, err
}

// staleNow returns the record of key that is held, if it may still stand in
// for one that Redis doesn't give: while that was waited for, its time may have
// ended, and Redis may have told of a change.
func (r *Records) staleNow(key string, err error) (schema.Record, error) {
	now := r.now()
	last, held, _ := r.tier.get(key, now)
	switch {
	case !held:
		return nil, err
	case last.younger(seconds(r.cfg.TTL+r.cfg.StaleTTL), now):
		r.stats.stale.Add(1)
		return last.record, nil
	}
	return last.record, err
}

// half returns ctx with half of the time that is left.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// ask asks the store, once for all that wait for key, each until its own ctx.
// The error wraps schema.ErrUnavailable.
func (r *Records) ask(ctx context.Context, key string, kind schema.Kind, id string) (entry, error) {
	f, lead := r.tier.join(key, r.now())
	if lead {
		r.running.Go(func() {
			answer, err := r.question(key, kind, id)
			if err != nil {
				r.stats.failed(err)
			}
			r.tier.land(f, answer, err)
		})
	}
	select {
	case <-f.ended:
		return f.answer, f.err
	case <-ctx.Done():
		return entry{}, fmt.Errorf("%s: %w: %w", key, schema.ErrUnavailable, ctx.Err())
	}
}

// Warning returns why changes aren't noticed at once though the configuration asks
// for it, nil if they are.
func (r *Records) Warning() error {
	if r.tracker == nil {
		return nil
	}
	return r.tracker.trouble()
}

// Tracked asks every master whether it tells of changes, and returns how many
// they are: none without cache.invalidation.
func (r *Records) Tracked(ctx context.Context) (int, error) {
	if r.tracker == nil {
		return 0, nil
	}
	return r.tracker.try(ctx)
}

// Where says which Redis it is, for people.
func (r *Records) Where() string { return r.where }

// Count asks Redis how many application records there are; it stops counting
// at limit.
func (r *Records) Count(ctx context.Context, limit int) (int, error) {
	return r.store.count(ctx, limit)
}

// Close ends what is under way and closes the connections.
func (r *Records) Close() error {
	r.cancel()
	err := r.store.close()
	r.running.Wait()
	return err
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
