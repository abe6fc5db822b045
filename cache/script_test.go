package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/schema"
)

// scripted is a store whose next answers are set by the test.
type scripted struct {
	withoutReuse
	mu     sync.Mutex
	answer func(ctx context.Context, id string) (schema.Record, error)
	asked  int
}

func (s *scripted) fetch(ctx context.Context, key string, _ []string) (schema.Record, error) {
	s.mu.Lock()
	s.asked++
	answer := s.answer
	s.mu.Unlock()
	return answer(ctx, strings.TrimPrefix(key, "p:app:"))
}

func (*scripted) node(string) string { return "" }

func (*scripted) count(context.Context, string, int) (int, error) { return 0, nil }

func (*scripted) close() error { return nil }

func (s *scripted) next(record schema.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(context.Context, string) (schema.Record, error) { return record, err }
}

// hang makes fetches wait until their time ends.
func (s *scripted) hang() {
	s.answer = func(ctx context.Context, _ string) (schema.Record, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", schema.ErrUnavailable, ctx.Err())
	}
}

func (s *scripted) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

var (
	good        = schema.Record{"org_code": "org_a"}
	errNoRecord = fmt.Errorf("k: %w", schema.ErrNoRecord)
	errInvalid  = fmt.Errorf("k: %w", schema.ErrInvalidRecord)
	errSilent   = fmt.Errorf("k: %w: connection refused", schema.ErrUnavailable)
)

// scriptedRecords are lookups in store, with ttl 30, negative ttl 5 and stale ttl
// 300 unless changes say otherwise.
func scriptedRecords(store source, changes ...option) *Records {
	cfg := &schema.Config{Prefix: "p:", Cache: schema.Cache{TTL: 30, NegativeTTL: 5, StaleTTL: 300, MaxEntries: 100, MaxBytes: 1 << 20}}
	timeout(500)(cfg)
	pool(64)(cfg)
	for _, change := range changes {
		change(cfg)
	}
	r := newRecords(cfg, store, time.Now)
	r.jitter = func() float64 { return 0 }
	return r
}

// overScript runs f in a bubble whose time the test moves, with lookups in a
// scripted store that answers good.
func overScript(t *testing.T, f func(t *testing.T, r *Records, s *scripted)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{}
		s.next(good, nil)
		r := scriptedRecords(s)
		f(t, r, s)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// pass lets time pass. In a bubble it takes none.
func pass(d time.Duration) { <-time.After(d) }

func ask(t *testing.T, r *Records) (schema.Record, error) {
	t.Helper()
	return app(t, r, "a")
}

// expect fails the test unless the next answer is record with err, and the
// store was asked so often until then.
func expect(t *testing.T, r *Records, s *scripted, record schema.Record, err error, asked int) {
	t.Helper()
	got, gotErr := ask(t, r)
	if fmt.Sprint(got) != fmt.Sprint(record) || !errors.Is(gotErr, err) {
		t.Errorf("got %v, %v; want %v, %v", got, gotErr, record, err)
	}
	if s.times() != asked {
		t.Errorf("the store was asked %d times, want %d", s.times(), asked)
	}
}
