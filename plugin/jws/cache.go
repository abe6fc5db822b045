package jws

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// How what a provider publishes is cached.
const (
	fetchTimeout  = 5 * time.Second  // of one fetch, with discovery
	refreshAfter  = 5 * time.Minute  // then it is fetched again in the background
	maxAge        = 24 * time.Hour   // then it is no longer used
	renewInterval = 10 * time.Second // between fetches that requests ask for, and between background ones
	retryInterval = time.Second      // between fetches that fail while nothing is cached
)

// cache keeps a value that a provider publishes. The value is fetched when it is
// needed, once for all who wait, and survives failed fetches. Safe for
// concurrent use.
type cache[T any] struct {
	get func(context.Context) (T, error)
	now func() time.Time
	ctx context.Context // ends fetches

	flight singleflight.Group

	mu       sync.Mutex
	value    T
	fetched  time.Time // last good fetch; zero if there was none
	tried    time.Time // last fetch, good or bad
	renewed  time.Time // last fetch that a request asked for
	failure  error     // of the last fetch
	failures uint64    // fetches that failed
}

// current returns the value. It waits for the provider, until ctx ends, only if
// nothing is cached. The error wraps ErrKeysUnavailable.
func (c *cache[T]) current(ctx context.Context) (T, error) {
	value, state, failure := c.state()
	switch state {
	case missing:
		return c.wait(ctx, "missing", func() (any, error) {
			if value, state, failure := c.state(); state != missing {
				return value, failure // another request fetched it since
			}
			value, err, _ := c.flight.Do("fetch", c.fetch(ctx))
			return value, err
		})
	case stale:
		c.flight.DoChan("fetch", c.fetch(c.ctx)) // nobody waits for it
	}
	return value, failure
}

// cached returns the value, zero if there is none. It never waits: a fetch that is due
// runs in the background.
func (c *cache[T]) cached() T {
	value, state, _ := c.state()
	if state == stale || state == missing && c.due() {
		c.flight.DoChan("fetch", c.fetch(c.ctx))
	}
	return value
}

// due reports whether the last fetch was long enough ago for one that nobody waits for.
func (c *cache[T]) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Sub(c.tried) >= renewInterval
}

// renew returns the value after fetching it, unless a request asked for that a
// short while ago.
func (c *cache[T]) renew(ctx context.Context) (T, error) {
	return c.wait(ctx, "renew", func() (any, error) {
		c.mu.Lock()
		due := c.now().Sub(c.renewed) >= renewInterval
		if due {
			c.renewed = c.now()
		}
		c.mu.Unlock()
		if due {
			c.flight.Do("fetch", c.fetch(ctx)) // its result is in c
		}
		return c.current(c.ctx)
	})
}

// wait calls f, once for all who wait for key, until ctx ends.
func (c *cache[T]) wait(ctx context.Context, key string, f func() (any, error)) (value T, err error) {
	select {
	case r := <-c.flight.DoChan(key, f):
		if r.Err != nil {
			return value, r.Err
		}
		return r.Val.(T), nil
	case <-ctx.Done():
		return value, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
	}
}

// state is what a request does about the value.
type state int

const (
	usable  state = iota
	stale         // use the value and start a fetch
	missing       // wait for a fetch
	failed        // the last fetch failed a moment ago: use its error
)

// state returns the value if it is usable, or the error of a fetch that just
// failed. It returns stale to one caller only.
func (c *cache[T]) state() (value T, state state, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if age := now.Sub(c.fetched); !c.fetched.IsZero() && age < maxAge {
		if age >= refreshAfter && now.Sub(c.tried) >= renewInterval {
			c.tried = now
			return c.value, stale, nil
		}
		return c.value, usable, nil
	}
	if c.failure != nil && now.Sub(c.tried) < retryInterval {
		return value, failed, c.failure
	}
	return value, missing, nil
}

// fetch returns a function that fetches the value for all who wait. It uses the
// values of ctx, such as the trace, and doesn't end with it.
func (c *cache[T]) fetch(ctx context.Context) func() (any, error) {
	return func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		defer context.AfterFunc(c.ctx, cancel)()
		value, err := recovered(func() (value T, err error) {
			if err := c.ctx.Err(); err != nil { // cancel may come later than an answer
				return value, err
			}
			return c.get(ctx)
		})
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
		}
		c.store(value, err)
		return value, err
	}
}

// store caches value, or counts the failure if err isn't nil.
func (c *cache[T]) store(value T, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried, c.failure = c.now(), err
	if err == nil {
		c.value, c.fetched = value, c.tried
	} else {
		c.failures++
	}
}

// recovered calls f and turns a panic into an error: a panic in a goroutine
// would end the process. The error doesn't show the panic's value, which could
// be a secret.
func recovered[T any](f func() (T, error)) (value T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic of type %T", v)
		}
	}()
	return f()
}
