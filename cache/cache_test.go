package cache

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"m2m-token-enricher/schema"
)

// waiting is how many tests run at once: they wait for servers more than they
// compute.
const waiting = "3"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", waiting); err != nil { // -parallel still counts
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func TestTTL(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		pass(30*time.Second - 1)
		s.next(schema.Record{"org_code": "org_b"}, nil)
		expect(t, r, s, good, nil, 1)
		pass(1)
		expect(t, r, s, schema.Record{"org_code": "org_b"}, nil, 2)
	})
}

func TestNegativeTTL(t *testing.T) {
	for _, no := range []error{errNoRecord, errInvalid} {
		overScript(t, func(t *testing.T, r *Records, s *scripted) {
			s.next(nil, no)
			expect(t, r, s, nil, no, 1)
			pass(5*time.Second - 1)
			s.next(good, nil)
			expect(t, r, s, nil, no, 1)
			pass(1)
			expect(t, r, s, good, nil, 2)
		})
	}
}

func TestStaleWhileSilent(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		s.next(nil, errSilent)
		pass(30 * time.Second)
		expect(t, r, s, good, nil, 2)
		pass(300*time.Second - 1)
		expect(t, r, s, good, nil, 3)
		pass(1)
		expect(t, r, s, good, schema.ErrUnavailable, 3) // the store is left alone
		pass(time.Second)
		expect(t, r, s, good, schema.ErrUnavailable, 4)
		s.next(schema.Record{"org_code": "org_b"}, nil)
		pass(time.Second)
		expect(t, r, s, schema.Record{"org_code": "org_b"}, nil, 5)
	})
}

// TestDeletedIsNotStale: that there is no record any more replaces the one
// that was held.
func TestDeletedIsNotStale(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		pass(30 * time.Second)
		s.next(nil, errNoRecord)
		expect(t, r, s, nil, schema.ErrNoRecord, 2)
		pass(5 * time.Second)
		s.next(nil, errSilent)
		expect(t, r, s, nil, schema.ErrUnavailable, 3)
	})
}

func TestAbsenceNeverAnswersAnOutage(t *testing.T) {
	for _, no := range []error{errNoRecord, errInvalid} {
		overScript(t, func(t *testing.T, r *Records, s *scripted) {
			s.next(nil, no)
			expect(t, r, s, nil, no, 1)
			s.next(nil, errSilent)
			pass(5 * time.Second)
			expect(t, r, s, nil, schema.ErrUnavailable, 2)
			if _, err := ask(t, r); errors.Is(err, no) {
				t.Errorf("an outage is answered with %v", err)
			}
		})
	}
}

func TestPause(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.next(nil, errSilent)
		expect(t, r, s, nil, schema.ErrUnavailable, 1)
		for range 10 {
			expect(t, r, s, nil, schema.ErrUnavailable, 1)
		}
		pass(time.Second - 1)
		expect(t, r, s, nil, schema.ErrUnavailable, 1)
		pass(1)

		// One request tries, while the others are still kept from it.
		release := make(chan struct{})
		s.mu.Lock()
		s.answer = func(_ context.Context, id string) (schema.Record, error) {
			if id == "trial" {
				<-release
			}
			return good, nil
		}
		s.mu.Unlock()
		var tried sync.WaitGroup
		tried.Go(func() {
			if _, err := r.Record(t.Context(), schema.Application, "trial"); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		for i := range 5 { // however long it takes
			if _, err := r.Record(t.Context(), schema.Application, fmt.Sprint("other", i)); !errors.Is(err, schema.ErrUnavailable) {
				t.Errorf("a request isn't kept from the store: %v", err)
			}
			pass(r.budget / 5)
		}
		close(release)
		tried.Wait()
		expect(t, r, s, good, nil, 3)
	})
}

func TestDefiniteAnswersDontPause(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.next(nil, errInvalid)
		expect(t, r, s, nil, schema.ErrInvalidRecord, 1)
		s.next(good, nil)
		if _, err := r.Record(t.Context(), schema.Application, "b"); err != nil {
			t.Error(err)
		}
	})
}

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

// TestFlightJustEnded: who saw nothing held a moment before another's flight
// ended doesn't ask again.
func TestFlightJustEnded(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		r.now = func() time.Time { // the clock is read after what is held
			r.now = time.Now
			expect(t, r, s, good, nil, 1)
			return time.Now()
		}
		expect(t, r, s, good, nil, 1)
	})
}

func TestTTLZero(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		r.cfg = schema.Cache{}
		for i := range 3 {
			expect(t, r, s, good, nil, i+1)
		}
		s.next(nil, errSilent)
		expect(t, r, s, good, schema.ErrUnavailable, 4)
	})
}

// TestCallersDeadline: a caller waits no longer than it may, and what it waited
// for goes on for the others.
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
		s.answer = func(ctx context.Context, _ string) (schema.Record, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("%w: %w", schema.ErrUnavailable, ctx.Err())
		}
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

// TestStoreIsBounded: a store that never answers is given up after its
// timeouts to connect, to send and to receive.
func TestStoreIsBounded(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.answer = func(ctx context.Context, _ string) (schema.Record, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("%w: %w", schema.ErrUnavailable, ctx.Err())
		}
		begin := time.Now()
		if _, err := ask(t, r); !errors.Is(err, schema.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begin); waited != 1500*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestCloseEndsFlights(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.answer = func(ctx context.Context, _ string) (schema.Record, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("%w: %w", schema.ErrUnavailable, ctx.Err())
		}
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

func TestMaxEntries(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		for i := range 1000 {
			if _, err := r.Record(t.Context(), schema.Application, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.tier.entries.Len(); n != 100 {
			t.Errorf("%d records are held", n)
		}
	})
}

func TestKindsDontMix(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		s.next(schema.Record{"name": "A"}, nil)
		if record, err := r.Record(t.Context(), schema.Organization, "a"); err != nil || record["name"] != "A" {
			t.Errorf("got %v, %v", record, err)
		}
	})
}

func TestErrorsNameTheKey(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.next(nil, errSilent)
		_, _ = ask(t, r)
		if _, err := ask(t, r); !strings.Contains(err.Error(), "p:app:a") {
			t.Errorf("got %v", err)
		}
	})
}

func TestStats(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		expect(t, r, s, good, nil, 1)
		pass(30 * time.Second)
		s.next(nil, errSilent)
		expect(t, r, s, good, nil, 2)
		expect(t, r, s, good, nil, 2) // Redis is left alone
		got := r.Stats()
		if got.Hits != 1 || got.Misses != 3 || got.Stale != 2 || got.Entries != 1 || got.Bytes == 0 ||
			got.Errors["other"] != 1 || got.Errors["paused"] != 1 {
			t.Errorf("got %+v", got)
		}
	})
}

// redisError is an error reply.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func TestKindsOfErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		kind string
	}{
		{redisError("NOAUTH Authentication required."), "auth"},
		{redisError("LOADING Redis is loading the dataset in memory"), "loading"},
		{redisError("CLUSTERDOWN Hash slot not served"), "cluster"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "connect"},
		{&net.DNSError{Err: "no such host"}, "dns"},
		{context.DeadlineExceeded, "timeout"},
		{io.EOF, "other"},
		{errBusy, "busy"},
		{errPaused, "paused"},
	} {
		if got := kindOf(fmt.Errorf("k: %w: %w", schema.ErrUnavailable, tt.err)); got != tt.kind {
			t.Errorf("%v is of kind %s, not %s", tt.err, got, tt.kind)
		}
	}
}
