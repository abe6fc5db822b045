package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// Why Redis isn't even asked.
var (
	errBusy   = errors.New("every connection is busy")
	errPaused = errors.New("it failed")
)

// fetch asks Redis as soon as a slot is free and the breaker allows it. The wait
// for a slot takes none of the time for the answer: it says nothing about Redis.
func (r *Records) fetch(key string, kind schema.Kind) (entry, error) {
	n := r.nodes.get(r.store.node(key))
	if n.breaker.blocks(key, r.now()) { // don't wait for a slot in vain
		return entry{}, paused(key)
	}
	if err := r.acquire(n); err != nil {
		return entry{}, fmt.Errorf("%s: %w: %w", key, schema.ErrUnavailable, err)
	}
	defer func() { <-n.slots }()
	asked := r.now()
	if !n.breaker.allow(key, asked, r.budget()) { // it may have failed meanwhile
		return entry{}, paused(key)
	}
	record, err := r.read(key, r.properties[kind])
	if errors.Is(err, schema.ErrUnavailable) {
		n.breaker.fail(key, asked, r.now())
		return entry{}, err
	}
	n.breaker.succeed(key, r.now())
	return entry{record: record, err: err, asked: asked, ttl: r.ttl(err), properties: r.properties[kind]}, nil
}

func paused(key string) error {
	return fmt.Errorf("%s: %w: %w less than %v ago", key, schema.ErrUnavailable, errPaused, retryInterval)
}

// budget is how long one fetch may take.
func (r *Records) budget() time.Duration { return connect.Budget(r.cfg.Redis) }

// acquire waits for a free slot, no longer than a fetch may take.
func (r *Records) acquire(n *node) error {
	ctx, cancel := context.WithTimeout(r.ctx, r.budget())
	defer cancel()
	select {
	case n.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w, all %d", errBusy, cap(n.slots))
	}
}

// ttl is how long an answer is fresh: up to a tenth less than configured. So
// records that were fetched together don't expire together.
func (r *Records) ttl(err error) time.Duration {
	ttl := seconds(r.cfg.Cache.TTL)
	if err != nil {
		ttl = seconds(r.cfg.Cache.NegativeTTL)
	}
	return ttl - time.Duration(r.jitter()*float64(ttl/10))
}

// read asks the store. It turns a panic of the driver into an error, which would
// end the process because fetches run in goroutines of their own.
func (r *Records) read(key string, fields []string) (record schema.Record, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.budget())
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			record, err = nil, fmt.Errorf("%s: %w: panic of type %T", key, schema.ErrUnavailable, v)
		}
	}()
	return r.store.fetch(ctx, key, fields)
}

// node is a server that records are fetched from. The nodes of a cluster have
// separate slots and breakers, so one that fails doesn't affect the others.
type node struct {
	slots   chan struct{} // one for each fetch that may run
	breaker breaker
}

// maxNodes is how many nodes are known: more than a cluster should have.
const maxNodes = 1000

// nodes are the servers that were asked, by address. Safe for concurrent use.
type nodes struct {
	slots int // of each

	mu     sync.Mutex
	byAddr map[string]*node
}

func newNodes(slots int) *nodes { return &nodes{slots: slots, byAddr: map[string]*node{}} }

// get returns the node at addr. All keys whose node isn't known share the one at
// "".
func (ns *nodes) get(addr string) *node {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	n := ns.byAddr[addr]
	if n == nil {
		if len(ns.byAddr) >= maxNodes { // addresses come and go
			clear(ns.byAddr)
		}
		n = &node{slots: make(chan struct{}, ns.slots), breaker: breaker{maxFailing: max(1, min(maxFailing, ns.slots/4))}}
		ns.byAddr[addr] = n
	}
	return n
}
