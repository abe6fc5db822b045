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
	cfg        *schema.Config
	properties schema.Names // that a record is asked for
	store      source
	now        func() time.Time
	jitter     func() float64 // in [0, 1)
	tier       *tier
	marks      *tier // of purges: one entry, whose key is marksKey
	marksKey   string
	nodes      *nodes
	sharing    *sharing
	tracker    *tracker // nil without cache.invalidation
	stats      stats
	copied     chan struct{} // closed when the previous records are in the tier

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// maxMarks is more bytes than valid purge marks take.
const maxMarks = 1 << 20

// source is where records and shared answers come from.
type source interface {
	sharedAnswers

	// fetch reads fields of the record at key, all of it if schema.AllProperties is
	// among them. Its errors are those of [Records.Record].
	fetch(ctx context.Context, key string, fields []string) (schema.Record, error)
	// marks reads the hash at key. No hash is an empty one.
	marks(ctx context.Context, key string) (schema.Record, error)
	// node returns the address of the server that has key, "" if there is only
	// one or if it isn't known. It asks no server.
	node(key string) string
	count(ctx context.Context, prefix string, limit int) (int, error)
	close() error
}

// New returns the records of cfg. It doesn't wait for a connection. Unless
// previous is nil, its cached records are copied: it must serve cfg. The copy
// runs in the background, and lookups wait for it.
func New(cfg *schema.Config, previous *Records) *Records {
	r := newRecords(cfg, newStore(cfg.Redis), time.Now)
	if previous != nil {
		r.copied = make(chan struct{})
		r.running.Go(func() { // it ends, so previous can be freed
			defer close(r.copied)
			r.copy(previous)
		})
	}
	if cfg.Cache.Invalidation {
		r.tracker = newTracker(cfg, r.tier, r.marks)
		r.running.Go(func() {
			<-r.copied // an entry must be in the tier before it can be invalidated
			r.tracker.run(r.ctx)
		})
	}
	return r
}

func newRecords(cfg *schema.Config, store source, now func() time.Time) *Records {
	ctx, cancel := context.WithCancel(context.Background())
	copied := make(chan struct{})
	close(copied) // nothing to copy
	r := &Records{
		cfg: cfg, properties: schema.NamesOf(cfg), store: store, now: now, jitter: rand.Float64,
		tier:  newTier(cfg.Cache.MaxEntries, cfg.Cache.MaxBytes),
		marks: newTier(1, maxMarks), marksKey: schema.PurgeMarksKey(cfg.Prefix),
		nodes:  newNodes(cfg.Redis.PoolSize),
		copied: copied, ctx: ctx, cancel: cancel,
	}
	r.sharing = &sharing{
		store: store, records: r.nodes, nodes: newNodes(cfg.Redis.PoolSize / 4), budget: r.budget(),
		now:   func() time.Time { return r.now() },
		queue: make(chan share, maxShares), ctx: ctx, running: &r.running,
	}
	return r
}

// Record returns the record of kind that id names; it must not be modified. The
// error wraps schema.ErrNoRecord or schema.ErrInvalidRecord if Redis said so. It
// wraps schema.ErrUnavailable if Redis didn't answer and no cached record may
// stand in. A record that comes with that error is the last one known: too old to
// issue a token by, but good enough to refuse one.
func (r *Records) Record(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	key := kind.Key(r.cfg.Prefix, id)
	select {
	case <-r.copied:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w: wait for the cached records: %w", key, schema.ErrUnavailable, ctx.Err())
	}
	now := r.now()
	last, cached, fresh := r.tier.get(key, now)
	if fresh {
		r.stats.hits.Add(1)
		return last.record, last.err
	}
	r.stats.misses.Add(1)
	stale := cached && last.usable(r.maxAge(), now)
	if stale {
		var cancel context.CancelFunc
		ctx, cancel = half(ctx) // answering with the stale record needs time, too
		defer cancel()
	}
	answer, err := r.ask(ctx, r.tier, key, func() (entry, error) { return r.fetchRecord(key, kind) })
	switch {
	case err == nil:
		return answer.record, answer.err
	case stale:
		return r.serveStale(key, err)
	case !cached || last.err != nil:
		return nil, err
	}
	return last.record, err
}

// serveStale returns the cached record of key if it may still stand in for an
// answer of Redis. During the wait for Redis it may have expired, or Redis may
// have reported a change. Then err comes with it.
func (r *Records) serveStale(key string, err error) (schema.Record, error) {
	now := r.now()
	last, cached, _ := r.tier.get(key, now)
	if cached && last.usable(r.maxAge(), now) {
		r.stats.stale.Add(1)
		err = nil
	}
	return last.record, err
}

// maxAge is how old a record may become while Redis doesn't answer.
func (r *Records) maxAge() time.Duration { return seconds(r.cfg.Cache.TTL + r.cfg.Cache.StaleTTL) }

// half returns ctx with half of its remaining time.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// ask fetches once for all that wait for key of tier t, each until its own ctx
// ends. The error wraps schema.ErrUnavailable.
func (r *Records) ask(ctx context.Context, t *tier, key string, fetch func() (entry, error)) (entry, error) {
	f, first := t.join(key, r.now())
	if first {
		r.running.Go(func() {
			answer, err := fetch()
			if err != nil {
				r.stats.failed(err)
			}
			t.finish(f, answer, err)
		})
	}
	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
		return entry{}, fmt.Errorf("%s: %w: %w", key, schema.ErrUnavailable, ctx.Err())
	}
}

// SharedAnswer returns the answer that a gateway has shared under name, nil if there
// is none. It waits no longer than ctx, and doesn't ask a Redis that has just failed.
// The error wraps schema.ErrUnavailable, or schema.ErrInvalidRecord if what is there
// is no answer. What is returned isn't verified: who can write to Redis chooses it.
func (r *Records) SharedAnswer(ctx context.Context, name string) ([]byte, error) {
	return r.sharing.read(ctx, schema.SharedAnswerKey(r.cfg.Prefix, name))
}

// ShareAnswer writes value, which must not be modified, for other gateways. It
// returns at once. Redis forgets the value after life. Nothing is written if the
// value is larger than 64 KiB, if Redis has just failed, or if many others wait.
func (r *Records) ShareAnswer(name string, value []byte, life time.Duration) {
	r.sharing.write(schema.SharedAnswerKey(r.cfg.Prefix, name), value, life)
}

// Warning returns why cache.invalidation has no effect although it is
// configured, nil if it has.
func (r *Records) Warning() error {
	if r.tracker == nil {
		return nil
	}
	return r.tracker.trouble()
}

// Tracked asks every master whether it reports changes, and returns how many
// masters there are: none without cache.invalidation.
func (r *Records) Tracked(ctx context.Context) (int, error) {
	if r.tracker == nil {
		return 0, nil
	}
	return r.tracker.try(ctx)
}

// Where names the Redis for people.
func (r *Records) Where() string { return connect.Describe(r.cfg.Redis) }

// Count asks Redis how many application records there are. It stops counting at
// limit.
func (r *Records) Count(ctx context.Context, limit int) (int, error) {
	return r.store.count(ctx, r.cfg.Prefix, limit)
}

// Close cancels running fetches and closes the connections.
func (r *Records) Close() error {
	r.cancel()
	err := r.store.close()
	r.running.Wait()
	return err
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
