package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/schema"
)

// Why Redis isn't even asked.
var (
	errBusy   = errors.New("every connection is busy")
	errPaused = errors.New("it failed")
)

// question asks the store as soon as there is room and no pause. To wait for
// room takes none of the time for the answer: it says nothing of Redis.
func (r *Records) question(key string, kind schema.Kind, id string) (entry, error) {
	n := r.nodes.at(r.node(key))
	if n.pause.leavesAlone(key, r.now()) { // who must not ask doesn't wait for room
		return entry{}, paused(key)
	}
	if err := r.room(n); err != nil {
		return entry{}, fmt.Errorf("%s: %w: %w", key, schema.ErrUnavailable, err)
	}
	defer func() { <-n.slots }()
	asked := r.now()
	if !n.pause.admits(key, asked, r.budget) { // it may have failed meanwhile
		return entry{}, paused(key)
	}
	record, err := r.fetchSafely(key, kind, id)
	if errors.Is(err, schema.ErrUnavailable) {
		n.pause.fail(key, asked, r.now())
		return entry{}, err
	}
	n.pause.answer(key, r.now())
	return entry{record: record, err: err, asked: asked, life: r.life(err), properties: r.properties[kind]}, nil
}

func paused(key string) error {
	return fmt.Errorf("%s: %w: %w less than %v ago", key, schema.ErrUnavailable, errPaused, pauseAfterFailure)
}

// node returns the address of the server that has key, "" if there is only one
// or it isn't known.
func (r *Records) node(key string) string {
	if s, ok := r.store.(sharded); ok {
		return s.node(key)
	}
	return ""
}

// room waits for a free slot, as long as a question may take.
func (r *Records) room(n *node) error {
	ctx, cancel := context.WithTimeout(r.ctx, r.budget)
	defer cancel()
	select {
	case n.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w, all %d", errBusy, cap(n.slots))
	}
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

// fetchSafely is the store's fetch without a panic of the driver: it would end
// the process, since a fetch runs in a goroutine of its own.
func (r *Records) fetchSafely(key string, kind schema.Kind, id string) (record schema.Record, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.budget)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			record, err = nil, fmt.Errorf("%s: %w: panic of type %T", key, schema.ErrUnavailable, v)
		}
	}()
	return r.store.fetch(ctx, kind, id)
}
