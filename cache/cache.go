// Package cache looks records up in Redis through a bounded in-process tier.
package cache

import (
	"context"
	"errors"
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
	prefix  string
	budget  time.Duration // of one question to the store
	now     func() time.Time
	jitter  func() float64 // in [0, 1)
	tier    *tier
	pause   pause
	slots   chan struct{} // one for each question that may be under way
	tracker *tracker      // nil without cache.invalidation
	stats   stats

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

// New returns the records that cfg says. It doesn't wait for a connection.
func New(cfg *schema.Config) *Records {
	r := newRecords(cfg, newStore(cfg), time.Now)
	if cfg.Cache.Invalidation {
		r.tracker = newTracker(cfg, r.tier)
		r.running.Go(func() { r.tracker.run(r.ctx) })
	}
	return r
}

func newRecords(cfg *schema.Config, store source, now func() time.Time) *Records {
	ctx, cancel := context.WithCancel(context.Background())
	return &Records{
		store: store, where: connect.Describe(cfg.Redis), cfg: cfg.Cache, prefix: cfg.Prefix, budget: connect.Budget(cfg.Redis),
		now: now, jitter: rand.Float64,
		tier:  newTier(cfg.Cache.MaxEntries, cfg.Cache.MaxBytes),
		slots: make(chan struct{}, max(1, cfg.Redis.PoolSize)),
		ctx:   ctx, cancel: cancel,
	}
}

// Record returns the record of kind that id names. The error wraps
// schema.ErrNoRecord or schema.ErrInvalidRecord if Redis said so, and
// schema.ErrUnavailable if it said nothing and nothing held is fresh enough. In
// that last case the record, if it isn't nil, is the last one known: too old to
// issue a token by, but good enough to refuse one. It must not be modified.
func (r *Records) Record(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	key, now := kind.Key(r.prefix, id), r.now()
	last, held, fresh := r.tier.get(key, now)
	if fresh {
		r.stats.hits.Add(1)
		return last.record, last.err
	}
	r.stats.misses.Add(1)
	stale := held && last.err == nil && now.Sub(last.asked) < seconds(r.cfg.TTL+r.cfg.StaleTTL)
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
	case last.err == nil && now.Sub(last.asked) < seconds(r.cfg.TTL+r.cfg.StaleTTL):
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

// Why Redis isn't even asked.
var (
	errBusy   = errors.New("every connection is busy")
	errPaused = errors.New("it failed")
)

// question asks the store as soon as there is room and no pause.
func (r *Records) question(key string, kind schema.Kind, id string) (entry, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.budget)
	defer cancel()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done(): // says nothing of Redis, so no pause begins
		return entry{}, fmt.Errorf("%s: %w: %w, all %d", key, schema.ErrUnavailable, errBusy, cap(r.slots))
	}
	asked := r.now()
	if !r.pause.over(asked, r.budget) {
		return entry{}, fmt.Errorf("%s: %w: %w less than %v ago", key, schema.ErrUnavailable, errPaused, pauseAfterFailure)
	}
	record, err := r.fetchSafely(ctx, key, kind, id)
	if errors.Is(err, schema.ErrUnavailable) {
		r.pause.begin(r.now())
		return entry{}, err
	}
	r.pause.end()
	return entry{record: record, err: err, asked: asked, life: r.life(err)}, nil
}

// life is how long an answer is fresh: up to a tenth less than configured, so
// that what was asked together isn't asked together again.
func (r *Records) life(err error) time.Duration {
	ttl := seconds(r.cfg.TTL)
	if err != nil {
		ttl = seconds(r.cfg.NegativeTTL)
	}
	return ttl - time.Duration(r.jitter()*float64(ttl/10))
}

// fetchSafely is the store's fetch, but for a panic in the driver: it would end
// the process, since a fetch runs in a goroutine of its own.
func (r *Records) fetchSafely(ctx context.Context, key string, kind schema.Kind, id string) (record schema.Record, err error) {
	defer func() {
		if v := recover(); v != nil {
			record, err = nil, fmt.Errorf("%s: %w: panic of type %T", key, schema.ErrUnavailable, v)
		}
	}()
	return r.store.fetch(ctx, kind, id)
}

// Warning returns what an operator should know while records are served: that
// changes aren't noticed at once though the configuration says so. It does so
// once, and again every hour while that lasts; otherwise it returns nil.
func (r *Records) Warning() error {
	if r.tracker == nil {
		return nil
	}
	return r.tracker.warn(r.now())
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
