// Package cache looks records up in Redis through a bounded in-process tier.
package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"m2m-token-enricher/schema"
)

// pauseAfterFailure is how long Redis is left alone after it didn't answer.
const pauseAfterFailure = time.Second

// Records looks up the records of one configuration. Safe for concurrent use.
type Records struct {
	store   source
	cfg     schema.Cache
	prefix  string
	timeout time.Duration // of one answer of the store
	now     func() time.Time

	held   *lru.Cache[string, entry]
	flight singleflight.Group
	pause  pause
	ctx    context.Context
	cancel context.CancelFunc
}

// source is where records come from. The errors of fetch are those of
// [Records.Record].
type source interface {
	fetch(ctx context.Context, kind schema.Kind, id string) (schema.Record, error)
	count(ctx context.Context, limit int) (int, error)
	close() error
}

// entry is a definite answer: a record, or why there is none.
type entry struct {
	record schema.Record
	err    error
	at     time.Time
}

// New returns the records that cfg says. It doesn't connect.
func New(cfg *schema.Config) *Records {
	return newRecords(cfg, newStore(cfg), time.Now)
}

func newRecords(cfg *schema.Config, store source, now func() time.Time) *Records {
	held, err := lru.New[string, entry](max(1, cfg.Cache.MaxEntries))
	if err != nil {
		panic(err) // only a size below one is an error
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Records{
		store: store, cfg: cfg.Cache, prefix: cfg.Prefix, now: now, held: held, ctx: ctx, cancel: cancel,
		// Connecting, sending and receiving have the timeout each.
		timeout: 3 * time.Duration(cfg.Redis.Timeout) * time.Millisecond,
	}
}

// Record returns the record of kind that id names. The error wraps
// schema.ErrNoRecord or schema.ErrInvalidRecord if Redis said so, and
// schema.ErrUnavailable if it said nothing and nothing held is fresh enough. In
// that last case the record, if it isn't nil, is the last one known: too old to
// issue a token by, but good enough to refuse one. It must not be modified.
func (r *Records) Record(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	key := kind.Key(r.prefix, id)
	last, held := r.held.Get(key)
	age := r.now().Sub(last.at)
	if held && age < r.freshFor(last) {
		return last.record, last.err
	}
	stale := held && last.err == nil && age < r.freshFor(last)+seconds(r.cfg.StaleTTL)
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
		return last.record, nil
	case !held || last.err != nil:
		return nil, err
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

func (r *Records) freshFor(e entry) time.Duration {
	if e.err != nil {
		return seconds(r.cfg.NegativeTTL)
	}
	return seconds(r.cfg.TTL)
}

// ask asks the store, once for all that wait for key, each until its own ctx.
// The error wraps schema.ErrUnavailable.
func (r *Records) ask(ctx context.Context, key string, kind schema.Kind, id string) (entry, error) {
	answer := r.flight.DoChan(key, func() (any, error) {
		if e, held := r.held.Get(key); held && r.now().Sub(e.at) < r.freshFor(e) {
			return e, nil // another request asked since the caller looked
		}
		if !r.pause.over(r.now(), r.timeout) {
			return nil, fmt.Errorf("%s: %w: it failed less than %v ago", key, schema.ErrUnavailable, pauseAfterFailure)
		}
		ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
		defer cancel()
		record, err := r.fetchSafely(ctx, key, kind, id)
		if errors.Is(err, schema.ErrUnavailable) {
			r.pause.begin(r.now())
			return nil, err
		}
		r.pause.end()
		e := entry{record: record, err: err, at: r.now()}
		r.held.Add(key, e)
		return e, nil
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return entry{}, a.Err
		}
		return a.Val.(entry), nil
	case <-ctx.Done():
		return entry{}, fmt.Errorf("%s: %w: %w", key, schema.ErrUnavailable, ctx.Err())
	}
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

// Count asks Redis how many application records there are; it stops counting
// at limit.
func (r *Records) Count(ctx context.Context, limit int) (int, error) {
	return r.store.count(ctx, limit)
}

// Close ends what is under way and closes the connections.
func (r *Records) Close() error {
	r.cancel()
	return r.store.close()
}

// pause keeps requests from a store that doesn't answer. When its time is over
// one request may try, while the others go on being kept.
type pause struct {
	mu    sync.Mutex
	until time.Time // zero: none; with a monotonic reading, since clocks are set back
}

// over tells whether a request may be made at now. If it is a trial, it must
// begin or end the pause within about the time that it may take.
func (p *pause) over(now time.Time, trial time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.until) {
		return false
	}
	if !p.until.IsZero() {
		p.until = now.Add(trial + pauseAfterFailure)
	}
	return true
}

func (p *pause) begin(now time.Time) { p.set(now.Add(pauseAfterFailure)) }

func (p *pause) end() { p.set(time.Time{}) }

func (p *pause) set(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = until
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
