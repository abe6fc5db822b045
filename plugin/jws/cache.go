package jws

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// How what a provider publishes is held.
const (
	fetchTimeout  = 5 * time.Second  // one fetch, discovery included
	freshFor      = 5 * time.Minute  // it is fetched anew in the background after this
	heldFor       = 24 * time.Hour   // and not used any more after this
	renewInterval = 10 * time.Second // between fetches that a request asks for, and between background ones
	retryInterval = time.Second      // between fetches that fail while nothing is held
)

// held is something that a provider publishes: fetched when it is needed,
// once for all that wait, and kept over bad answers. Safe for concurrent use.
type held[T any] struct {
	get func(context.Context) (T, error)
	now func() time.Time
	ctx context.Context // its end ends fetches

	flight singleflight.Group

	mu      sync.Mutex
	value   T
	since   time.Time // last good fetch; zero: there was none
	tried   time.Time // last fetch, good or not
	renewed time.Time // last fetch that a request asked for
	failure error     // of the last fetch

	failures uint64 // fetches that failed
}

// current returns the value. It waits for the provider, until ctx, only if
// none is held. The error wraps ErrKeysUnavailable.
func (h *held[T]) current(ctx context.Context) (T, error) {
	value, state, failure := h.state()
	switch state {
	case absent:
		return h.fetch(ctx)
	case aged:
		h.flight.DoChan("fetch", h.fetchOnce(h.ctx)) // ends by itself, nobody waits for it
	}
	return value, failure
}

// renew returns the value after a chance to learn of a new one. Requests that
// come while the provider is being asked wait for the same answer.
func (h *held[T]) renew(ctx context.Context) (T, error) {
	select {
	case <-h.flight.DoChan("renew", func() (any, error) { h.renewOnce(ctx); return nil, nil }):
		return h.current(ctx)
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
	}
}

// renewOnce fetches unless that was done a short while ago. Its outcome is in
// h.
func (h *held[T]) renewOnce(ctx context.Context) {
	h.mu.Lock()
	due := h.now().Sub(h.renewed) >= renewInterval
	if due {
		h.renewed = h.now()
	}
	h.mu.Unlock()
	if due {
		h.flight.Do("fetch", h.fetchOnce(ctx))
	}
}

// What a request does about the present state.
type heldState int

const (
	usable heldState = iota
	aged             // usable, and the caller must start a fetch
	absent           // the caller must wait for a fetch
	failed           // the last fetch failed a moment ago
)

// state returns the value, if it is usable, and why there is none, if a fetch
// just failed. It says aged to one caller only.
func (h *held[T]) state() (value T, state heldState, failure error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if age := now.Sub(h.since); !h.since.IsZero() && age < heldFor {
		if age >= freshFor && now.Sub(h.tried) >= renewInterval {
			h.tried = now
			return h.value, aged, nil
		}
		return h.value, usable, nil
	}
	if h.failure != nil && now.Sub(h.tried) < retryInterval {
		return value, failed, h.failure
	}
	return value, absent, nil
}

// fetch asks the provider, once for all that wait, each until its own ctx.
func (h *held[T]) fetch(ctx context.Context) (value T, err error) {
	select {
	case r := <-h.flight.DoChan("absent", func() (any, error) { return h.fetchAbsent(ctx) }):
		if r.Err != nil {
			return value, r.Err
		}
		return r.Val.(T), nil
	case <-ctx.Done():
		return value, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
	}
}

// fetchAbsent fetches unless another request did since its caller looked.
func (h *held[T]) fetchAbsent(ctx context.Context) (any, error) {
	if value, state, failure := h.state(); state != absent {
		return value, failure
	}
	value, err, _ := h.flight.Do("fetch", h.fetchOnce(ctx))
	return value, err
}

// fetchOnce returns what fetches, for all that wait: it has the values of the
// first one's ctx, such as what to trace by, and doesn't end with it.
func (h *held[T]) fetchOnce(ctx context.Context) func() (any, error) {
	return func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		defer context.AfterFunc(h.ctx, cancel)()
		value, err := recovered(func() (value T, err error) {
			if err := h.ctx.Err(); err != nil { // cancel may come later than an answer
				return value, err
			}
			return h.get(ctx)
		})
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
		}
		h.keep(value, err)
		return value, err
	}
}

// keep makes value the present one, unless err says that there is none.
func (h *held[T]) keep(value T, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried, h.failure = h.now(), err
	if err == nil {
		h.value, h.since = value, h.tried
	} else {
		h.failures++
	}
}
