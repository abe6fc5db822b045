package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// trackInterval is how often the masters are looked for and the connections to
// them are tried, and how long a lost one rests.
const trackInterval = time.Second

// tracker lets every master tell of the keys that change (Redis' client-side
// caching in broadcast mode, over RESP3). The tier is valid without it: an
// answer ends with its ttl in any case.
type tracker struct {
	cfg     schema.Redis
	ttl     int // s
	prefix  string
	tier    *tier
	masters *connect.Masters

	mu       sync.Mutex
	failures map[string]error // by master; "" is for finding them
}

func newTracker(cfg *schema.Config, tier *tier) *tracker {
	return &tracker{
		cfg: cfg.Redis, ttl: cfg.Cache.TTL, prefix: cfg.Prefix, tier: tier,
		masters:  connect.NewMasters(cfg.Redis),
		failures: map[string]error{},
	}
}

// trouble returns why changes aren't noticed at once, nil if they are.
func (t *tracker) trouble() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	first, err := "", error(nil)
	for where, failure := range t.failures {
		if failure != nil && (err == nil || where < first) {
			first, err = where, failure
		}
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("cache.invalidation has no effect, a change is served after %d s (cache.ttl): %w", t.ttl, err)
}

func (t *tracker) report(where string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures[where] = err
}

// run follows the masters until ctx ends.
func (t *tracker) run(ctx context.Context) {
	followed := map[string]context.CancelFunc{}
	var followers sync.WaitGroup
	defer followers.Wait()
	defer t.masters.Close()
	for ctx.Err() == nil {
		addrs, err := t.find(ctx)
		t.report("", err)
		for addr, stop := range followed {
			if err == nil && !slices.Contains(addrs, addr) {
				stop()
				delete(followed, addr)
			}
		}
		for _, addr := range addrs {
			if followed[addr] == nil {
				var one context.Context
				one, followed[addr] = context.WithCancel(ctx)
				followers.Go(func() { t.follow(one, addr) })
			}
		}
		rest(ctx, trackInterval)
	}
	for _, stop := range followed {
		stop()
	}
}

func (t *tracker) find(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, connect.Budget(t.cfg))
	defer cancel()
	return t.masters.Addrs(ctx)
}

// follow listens to one master, again whenever the connection is lost, until
// ctx ends.
func (t *tracker) follow(ctx context.Context, addr string) {
	for ctx.Err() == nil {
		told, err := t.listen(ctx, addr)
		if told {
			t.tier.doubt() // it could tell of nothing since
		}
		t.report(addr, fmt.Errorf("redis at %s: %w", addr, connect.WithoutArguments(err)))
		rest(ctx, trackInterval)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failures, addr)
}

// listen returns when the connection is lost, or wasn't to be had: then it told
// of nothing. One that doesn't answer a ping in time is lost.
func (t *tracker) listen(ctx context.Context, addr string) (told bool, err error) {
	client := connect.Server(t.cfg, addr, t.track)
	defer client.Close()
	if err := client.RegisterPushNotificationHandler("invalidate", invalidation{t.tier, t.prefix}, false); err != nil {
		return false, err
	}
	connection := client.Subscribe(ctx) // to no channel: it only reads what is pushed
	hangUp := func() { _ = connection.Close() }
	defer hangUp()
	defer context.AfterFunc(ctx, hangUp)() // a read doesn't end with ctx
	silence := time.AfterFunc(connect.Budget(t.cfg), hangUp)
	defer silence.Stop()
	beat := time.AfterFunc(trackInterval, func() { _ = connection.Ping(ctx) })
	defer beat.Stop()
	if err := connection.Ping(ctx); err != nil {
		return false, err
	}
	for ; ; told = true {
		// No deadline: it could end in the middle of what is pushed.
		if _, err := connection.ReceiveTimeout(ctx, 0); err != nil {
			return told, err
		}
		if !told {
			t.tier.doubt() // nothing told of what changed before
			t.report(addr, nil)
		}
		silence.Reset(2 * trackInterval)
		beat.Reset(trackInterval)
	}
}

// try asks every master for what it would push, and returns how many they are.
func (t *tracker) try(ctx context.Context) (int, error) {
	addrs, err := t.find(ctx)
	for _, addr := range addrs {
		client := connect.Server(t.cfg, addr, t.track)
		err = errors.Join(err, client.Ping(ctx).Err(), client.Close())
	}
	return len(addrs), err
}

// track asks for what is pushed. Without RESP3 nothing can be.
func (t *tracker) track(ctx context.Context, connection *redis.Conn) error {
	if err := connection.Do(ctx, "HELLO", "3").Err(); err != nil {
		return fmt.Errorf("it doesn't speak RESP3, which Redis 6 and later do: %w", err)
	}
	if err := connection.Do(ctx, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", t.prefix).Err(); err != nil {
		return fmt.Errorf("it refuses client tracking: %w", err)
	}
	return nil
}

// invalidation handles what a master pushes.
type invalidation struct {
	tier   *tier
	prefix string
}

// HandlePushNotification implements [push.NotificationHandler]: the second part
// is a list of keys, or nil when everything was flushed.
func (i invalidation) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, parts []any) error {
	var keys []any
	if len(parts) == 2 {
		keys, _ = parts[1].([]any)
	}
	if keys == nil {
		i.tier.doubt()
		return nil
	}
	for _, key := range keys {
		if name, ok := key.(string); ok && strings.HasPrefix(name, i.prefix) {
			i.tier.changed(name)
		}
	}
	return nil
}

// rest waits for d or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
