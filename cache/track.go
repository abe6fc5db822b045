package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// trackInterval is how often the masters are looked up and their connections are
// pinged, and how long the tracker waits after it lost one.
const trackInterval = time.Second

// tracker has every master report the keys that change (Redis' client-side
// caching in broadcast mode, over RESP3). The tier is valid without it: an entry
// expires with its ttl in any case.
type tracker struct {
	cfg      schema.Redis
	ttl      int      // s
	prefixes []string // of the keys
	tiers    tiers
	masters  *connect.Masters

	mu       sync.Mutex
	failures map[string]error // by master; "" is for finding them
}

func newTracker(cfg *schema.Config, tiers ...*tier) *tracker {
	return &tracker{
		cfg: cfg.Redis, ttl: cfg.Cache.TTL, prefixes: tracked(cfg), tiers: tiers,
		masters:  connect.NewMasters(cfg.Redis),
		failures: map[string]error{},
	}
}

// tracked returns the prefixes of all keys that are cached. Redis reports no other
// change, such as each answer that gateways share.
func tracked(cfg *schema.Config) (prefixes []string) {
	for _, kind := range schema.Kinds {
		prefixes = append(prefixes, kind.Key(cfg.Prefix, ""))
	}
	if cfg.Reuse.Enabled {
		prefixes = append(prefixes, schema.PurgeMarksKey(cfg.Prefix))
	}
	return prefixes
}

// trouble returns why changes aren't noticed at once, nil if they are.
func (t *tracker) trouble() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, addr := range slices.Sorted(maps.Keys(t.failures)) {
		if err := t.failures[addr]; err != nil {
			return fmt.Errorf("cache.invalidation has no effect, a change is served after %d s (cache.ttl): %w", t.ttl, err)
		}
	}
	return nil
}

func (t *tracker) report(addr string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures[addr] = err
}

// run follows the masters until ctx ends.
func (t *tracker) run(ctx context.Context) {
	followed := map[string]context.CancelFunc{}
	var followers sync.WaitGroup
	defer followers.Wait()
	defer t.masters.Close()
	for ; ctx.Err() == nil; rest(ctx, trackInterval) {
		addrs, err := t.findMasters(ctx)
		t.report("", err)
		for addr, stop := range followed {
			if err == nil && !slices.Contains(addrs, addr) {
				stop()
				delete(followed, addr)
			}
		}
		for _, addr := range addrs {
			if followed[addr] == nil {
				one, stop := context.WithCancel(ctx)
				followed[addr] = stop
				followers.Go(func() { t.follow(one, addr) })
			}
		}
	}
	for _, stop := range followed {
		stop()
	}
}

func (t *tracker) findMasters(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, connect.Budget(t.cfg))
	defer cancel()
	return t.masters.Addrs(ctx)
}

// follow listens to one master until ctx ends. It reconnects whenever the
// connection is lost.
func (t *tracker) follow(ctx context.Context, addr string) {
	for ; ctx.Err() == nil; rest(ctx, trackInterval) {
		connected, err := t.listen(ctx, addr)
		if connected {
			t.tiers.invalidateAll() // changes since the loss aren't reported
		}
		t.report(addr, fmt.Errorf("redis at %s: %w", addr, connect.WithoutArguments(err)))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failures, addr)
}

// listen returns when the connection is lost or can't be made; connected reports
// which. A connection that doesn't answer a ping in time is lost.
func (t *tracker) listen(ctx context.Context, addr string) (connected bool, err error) {
	client := connect.Pushed(t.cfg, addr, t.track)
	defer client.Close()
	if err := client.RegisterPushNotificationHandler("invalidate", invalidation{t.tiers, t.prefixes}, false); err != nil {
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
	for ; ; connected = true {
		// No deadline: it could end in the middle of what is pushed.
		if _, err := connection.ReceiveTimeout(ctx, 0); err != nil {
			return connected, err
		}
		if !connected {
			t.tiers.invalidateAll() // earlier changes weren't reported
			t.report(addr, nil)
		}
		silence.Reset(2 * trackInterval)
		beat.Reset(trackInterval)
	}
}

// try asks every master to report changes, and returns how many masters there
// are.
func (t *tracker) try(ctx context.Context) (int, error) {
	addrs, err := t.findMasters(ctx)
	for _, addr := range addrs {
		client := connect.Pushed(t.cfg, addr, t.track)
		err = errors.Join(err, client.Ping(ctx).Err(), client.Close())
	}
	return len(addrs), err
}

// track asks a server to report changes. That needs RESP3. Its errors are joined
// because the driver unwraps them once with [errors.Unwrap].
func (t *tracker) track(ctx context.Context, connection *redis.Conn) error {
	if err := connection.Do(ctx, "HELLO", "3").Err(); err != nil {
		const proxies = "it doesn't speak RESP3, which Redis 6 and later do and most Redis proxies don't"
		return errors.Join(fmt.Errorf("%s: %w", proxies, connect.WithoutArguments(err)))
	}
	command := []any{"CLIENT", "TRACKING", "ON", "BCAST"}
	for _, prefix := range t.prefixes {
		command = append(command, "PREFIX", prefix)
	}
	if err := connection.Do(ctx, command...).Err(); err != nil {
		return errors.Join(fmt.Errorf("it refuses client tracking: %w", connect.WithoutArguments(err)))
	}
	return nil
}

// invalidation handles what a master pushes.
type invalidation struct {
	tiers    tiers
	prefixes []string
}

// HandlePushNotification implements [push.NotificationHandler]: the second part
// is a list of keys, or nil when everything was flushed.
func (i invalidation) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, parts []any) error {
	var keys []any
	if len(parts) == 2 {
		keys, _ = parts[1].([]any)
	}
	if keys == nil {
		i.tiers.invalidateAll()
		return nil
	}
	for _, key := range keys {
		if name, ok := key.(string); ok && i.tracked(name) {
			i.tiers.invalidate(name)
		}
	}
	return nil
}

func (i invalidation) tracked(key string) bool {
	return slices.ContainsFunc(i.prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// rest waits for d or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
