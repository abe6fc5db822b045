package cache

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/schema"
)

func TestOneFlight(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		release := make(chan struct{})
		s.answer = func(context.Context, string) (schema.Record, error) { <-release; return good, nil }
		var callers sync.WaitGroup
		var wrong atomic.Int32
		for range 10_000 {
			callers.Go(func() {
				if record, err := ask(t, r); err != nil || record["org_code"] != "org_a" {
					wrong.Add(1)
				}
			})
		}
		synctest.Wait()
		close(release)
		callers.Wait()
		if wrong.Load() > 0 || s.times() != 1 {
			t.Errorf("%d wrong answers, asked %d times", wrong.Load(), s.times())
		}
	})
}

// TestFlightJustEnded: a lookup that missed just before another one's flight ended
// doesn't fetch again.
func TestFlightJustEnded(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		clock := 0
		r.now = func() time.Time {
			if clock++; clock == 2 { // between the miss and the flight
				r.now = time.Now
				expect(t, r, s, good, nil, 1)
			}
			return time.Now()
		}
		expect(t, r, s, good, nil, 1)
	})
}

// TestCallersDeadline: a caller waits no longer than it may, and what it waited
// for continues for the others.
func TestCallersDeadline(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.answer = func(context.Context, string) (schema.Record, error) { pass(time.Second); return good, nil }
		var callers sync.WaitGroup
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if _, err := r.Record(ctx, schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if waited := time.Since(begin); waited != 100*time.Millisecond {
				t.Errorf("waited %v", waited)
			}
		})
		callers.Go(func() { expect(t, r, s, good, nil, 1) })
		callers.Wait()
	})
}

// TestStaleLeavesTime: a store that hangs doesn't use up the time of who can be
// served a stale record.
func TestStaleLeavesTime(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		pass(30 * time.Second)
		s.hang()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if record, err := r.Record(ctx, schema.Application, "a"); err != nil || record["org_code"] != "org_a" {
			t.Errorf("got %v, %v", record, err)
		}
		if waited := time.Since(begin); waited != 500*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestCloseEndsFlights(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.hang()
		var caller sync.WaitGroup
		caller.Go(func() {
			if _, err := ask(t, r); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		caller.Wait()
	})
}

func TestPanicInTheStore(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.answer = func(context.Context, string) (schema.Record, error) { panic("a secret") }
		if _, err := ask(t, r); !errors.Is(err, schema.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	})
}
