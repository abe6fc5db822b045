package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"m2m-token-enricher/schema"
)

// Limits of sharing.
const (
	maxSharedAnswer = 64 << 10 // bytes
	maxShares       = 128      // answers that wait to be written
	sharers         = 4        // goroutines that write them
)

// sharing exchanges answers with other gateways through Redis. Records come first:
// it uses at most a quarter of the connections and rests while lookups of records
// fail. A failure of its own stops no lookup of a record, because it may wait for
// less time. Safe for concurrent use.
type sharing struct {
	store   sharedAnswers
	records *nodes // of the lookups of records
	nodes   *nodes // of its own
	budget  time.Duration
	now     func() time.Time

	queue   chan share
	start   sync.Once
	ctx     context.Context // ends the sharers
	running *sync.WaitGroup

	failed, skipped atomic.Uint64
}

// sharedAnswers is where shared answers are. Its errors are those of [source].
type sharedAnswers interface {
	// readAnswer returns the value at key, nil if there is none.
	readAnswer(ctx context.Context, key string) ([]byte, error)
	// writeAnswer writes a value that Redis forgets after life.
	writeAnswer(ctx context.Context, key string, value []byte, life time.Duration) error
	node(key string) string
}

// share is an answer that waits to be written.
type share struct {
	key   string
	value []byte
	until time.Time // when its life ends
}

// read returns the value at key, nil if there is none.
func (s *sharing) read(ctx context.Context, key string) ([]byte, error) {
	if s.blocked(key) {
		return nil, s.counted(paused())
	}
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	answered := make(chan error, 1)
	var value []byte
	s.running.Go(func() { // the driver doesn't always return when ctx ends
		answered <- s.ask(ctx, key, func() (err error) { value, err = s.store.readAnswer(ctx, key); return err })
	})
	select {
	case err := <-answered:
		return value, s.counted(err)
	case <-ctx.Done():
		return nil, s.counted(fmt.Errorf("%w: %w", schema.ErrUnavailable, ctx.Err()))
	}
}

// write writes the value soon, if Redis answers and few others wait.
func (s *sharing) write(key string, value []byte, life time.Duration) {
	if len(value) > maxSharedAnswer || s.blocked(key) {
		s.skipped.Add(1)
		return
	}
	s.start.Do(func() {
		for range sharers {
			s.running.Go(s.work)
		}
	})
	select {
	case s.queue <- share{key, value, s.now().Add(life)}:
	default:
		s.skipped.Add(1)
	}
}

// work writes the answers of the queue until ctx ends.
func (s *sharing) work() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case next := <-s.queue:
			s.put(next)
		}
	}
}

func (s *sharing) put(next share) {
	life := next.until.Sub(s.now())
	if life < time.Millisecond {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.budget)
	defer cancel()
	_ = s.counted(s.ask(ctx, next.key, func() error { return s.store.writeAnswer(ctx, next.key, next.value, life) }))
}

// blocked reports whether Redis failed lately, for records or for shared answers.
func (s *sharing) blocked(key string) bool {
	at, now := s.store.node(key), s.now()
	return s.records.get(at).breaker.blocks(key, now) || s.nodes.get(at).breaker.blocks(key, now)
}

// ask calls do, which asks Redis about key, unless it is blocked or no connection is
// free within ctx's time.
func (s *sharing) ask(ctx context.Context, key string, do func() error) error {
	if s.blocked(key) {
		return paused()
	}
	at := s.store.node(key)
	own, records := s.nodes.get(at), s.records.get(at)
	for _, n := range []*node{own, records} {
		if err := n.acquire(ctx); err != nil {
			return err
		}
		defer n.release()
	}
	return own.breaker.guard(key, s.now, s.budget, func() error { return safely(do) })
}

// counted counts err, and says that it is about shared answers.
func (s *sharing) counted(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errPaused), errors.Is(err, errBusy):
		s.skipped.Add(1)
	default:
		s.failed.Add(1)
	}
	return fmt.Errorf("shared answers: %w", err)
}
