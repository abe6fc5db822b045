package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"m2m-token-enricher/schema"
)

// Why Redis isn't even asked.
var (
	errBusy   = errors.New("every connection is busy")
	errPaused = errors.New("it failed")
)

// node is a server that is asked. The nodes of a cluster have separate slots and
// breakers, so one that fails doesn't affect the others.
type node struct {
	slots   chan struct{} // one for each question that may be under way
	breaker breaker
}

// ask calls do, which asks about key, as soon as a slot is free and the breaker
// allows it. It waits for a slot until ctx ends. That takes none of the time for the
// answer, because it says nothing about Redis. trial is how long do may take. An
// error of do's is returned as it is.
func (n *node) ask(ctx context.Context, key string, now func() time.Time, trial time.Duration, do func() error) error {
	if n.breaker.blocks(key, now()) { // don't wait for a slot in vain
		return paused()
	}
	if err := n.acquire(ctx); err != nil {
		return err
	}
	defer n.release()
	return n.breaker.guard(key, now, trial, do)
}

// acquire waits for a slot until ctx ends.
func (n *node) acquire(ctx context.Context) error {
	select {
	case n.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w, all %d", schema.ErrUnavailable, errBusy, cap(n.slots))
	}
}

func (n *node) release() { <-n.slots }

// guard calls do if key may be fetched, and records whether do was answered. Its
// other arguments are those of ask.
func (b *breaker) guard(key string, now func() time.Time, trial time.Duration, do func() error) error {
	asked := now()
	if !b.allow(key, asked, trial) {
		return paused()
	}
	err := do()
	if errors.Is(err, schema.ErrUnavailable) {
		b.fail(key, asked, now())
	} else {
		b.succeed(key, now())
	}
	return err
}

func paused() error {
	return fmt.Errorf("%w: %w less than %v ago", schema.ErrUnavailable, errPaused, retryInterval)
}

// safely calls do. It turns a panic of the driver into an error, which would end the
// process because goroutines of their own ask Redis.
func safely(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: panic of type %T", schema.ErrUnavailable, v)
		}
	}()
	return do()
}

// maxNodes is how many nodes are known: more than a cluster should have.
const maxNodes = 1000

// nodes are the servers that were asked, by address. Safe for concurrent use.
type nodes struct {
	slots int // of each

	mu     sync.Mutex
	byAddr map[string]*node
}

func newNodes(slots int) *nodes { return &nodes{slots: max(1, slots), byAddr: map[string]*node{}} }

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
