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

// scriptedAnswers is a store of shared answers that the test directs.
type scriptedAnswers struct {
	scripted
	read  func(ctx context.Context, key string) ([]byte, error)
	write func(ctx context.Context, key string) error

	mu            sync.Mutex
	reads, writes int
}

func (s *scriptedAnswers) readAnswer(ctx context.Context, key string) ([]byte, error) {
	s.add(&s.reads)
	return s.read(ctx, key)
}

func (s *scriptedAnswers) writeAnswer(ctx context.Context, key string, _ []byte, _ time.Duration) error {
	s.add(&s.writes)
	return s.write(ctx, key)
}

func (s *scriptedAnswers) add(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

func (s *scriptedAnswers) counts() (reads, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.writes
}

func hangs(ctx context.Context) error { <-ctx.Done(); return errSilent }

// overAnswers runs f in a bubble whose time the test moves. Every answer is "x".
func overAnswers(t *testing.T, f func(t *testing.T, r *Records, s *scriptedAnswers), changes ...option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scriptedAnswers{}
		s.next(good, nil)
		s.read = func(context.Context, string) ([]byte, error) { return []byte("x"), nil }
		s.write = func(context.Context, string) error { return nil }
		r := scriptedRecords(s, changes...)
		f(t, r, s)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// shared asks for an answer within patience, and returns how long that took.
func shared(t *testing.T, r *Records, name string, patience time.Duration) (string, time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin := time.Now()
	value, err := r.SharedAnswer(ctx, name)
	return string(value), time.Since(begin), err
}

// TestHangingSharedAnswers: a Redis that hangs costs the time of the first questions,
// and after that nothing. Once it is back, a trial a second finds it.
func TestHangingSharedAnswers(t *testing.T) {
	overAnswers(t, func(t *testing.T, r *Records, s *scriptedAnswers) {
		answers := s.read
		s.read = func(ctx context.Context, _ string) ([]byte, error) { return nil, hangs(ctx) }
		for i, want := range []time.Duration{time.Second / 4, time.Second / 4, 0, 0, 0} {
			_, took, err := shared(t, r, fmt.Sprint(i), time.Second/4)
			synctest.Wait() // the question itself ends just after the wait for it
			if !errors.Is(err, schema.ErrUnavailable) || took != want {
				t.Errorf("question %d: %v after %v, want that it is unavailable after %v", i, err, took, want)
			}
		}
		if got := r.SharingStats(); got.Errors != 2 || got.Skipped != 3 {
			t.Errorf("got %d errors, %d skipped, want 2 and 3", got.Errors, got.Skipped)
		}
		s.read = answers
		pass(retryInterval)
		for i := range 2 {
			if value, took, err := shared(t, r, fmt.Sprint("later", i), time.Second); value != "x" || took > 0 || err != nil {
				t.Errorf("got %q, %v after %v, want the answer at once", value, err, took)
			}
		}
	})
}

// TestSharedAnswersTime: nobody waits longer than ctx says, and than one command may
// take.
func TestSharedAnswersTime(t *testing.T) {
	overAnswers(t, func(t *testing.T, r *Records, s *scriptedAnswers) {
		s.read = func(context.Context, string) ([]byte, error) { pass(time.Hour); return nil, nil } // whatever its ctx says
		for patience, want := range map[time.Duration]time.Duration{100 * time.Millisecond: 100 * time.Millisecond, time.Hour: r.budget()} {
			if _, took, err := shared(t, r, fmt.Sprint(patience), patience); took != want || !errors.Is(err, schema.ErrUnavailable) {
				t.Errorf("within %v: %v after %v, want that it is unavailable after %v", patience, err, took, want)
			}
		}
		pass(time.Hour)
	})
}

// TestRecordsComeFirst: whatever becomes of shared answers, records are looked up.
func TestRecordsComeFirst(t *testing.T) {
	overAnswers(t, func(t *testing.T, r *Records, s *scriptedAnswers) {
		s.read = func(ctx context.Context, _ string) ([]byte, error) { return nil, hangs(ctx) }
		s.write = func(ctx context.Context, _ string) error { return hangs(ctx) }
		var callers sync.WaitGroup
		for i := range 1000 {
			callers.Go(func() { _, _, _ = shared(t, r, fmt.Sprint(i), time.Second) })
			r.ShareAnswer(fmt.Sprint(i), []byte("x"), time.Hour)
		}
		synctest.Wait()
		if got, want := len(r.nodes.get("").slots), 64/4; got > want {
			t.Errorf("got %d connections busy, want at most %d", got, want)
		}
		for i := range 5 {
			begin := time.Now()
			if _, err := app(t, r, fmt.Sprint(i)); err != nil || time.Since(begin) > 0 {
				t.Errorf("got %v after %v, want the record at once", err, time.Since(begin))
			}
			pass(500 * time.Millisecond)
		}
		callers.Wait()
	})
}

// TestNoSharingWhileRecordsFail: Redis isn't asked for answers while it gives no
// records.
func TestNoSharingWhileRecordsFail(t *testing.T) {
	overAnswers(t, func(t *testing.T, r *Records, s *scriptedAnswers) {
		s.next(nil, errSilent)
		for i := range 2 {
			_, _ = app(t, r, fmt.Sprint(i))
		}
		if _, took, err := shared(t, r, "a", time.Second); !errors.Is(err, schema.ErrUnavailable) || took > 0 {
			t.Errorf("got %v after %v, want that it is unavailable at once", err, took)
		}
		r.ShareAnswer("a", []byte("x"), time.Hour)
		synctest.Wait()
		if reads, writes := s.counts(); reads+writes > 0 {
			t.Errorf("asked %d times for answers and wrote %d, want none", reads, writes)
		}
		pass(retryInterval)
		r.ShareAnswer("a", []byte("x"), time.Hour)
		synctest.Wait()
		if _, writes := s.counts(); writes != 1 {
			t.Errorf("wrote %d answers, want 1", writes)
		}
	})
}

// TestSharersAreBounded: sharing returns at once, whatever Redis does, and what is
// too much is dropped.
func TestSharersAreBounded(t *testing.T) {
	overAnswers(t, func(t *testing.T, r *Records, s *scriptedAnswers) {
		s.write = func(ctx context.Context, _ string) error { return hangs(ctx) }
		begin := time.Now()
		for i := range sharers {
			r.ShareAnswer(fmt.Sprint("first", i), nil, time.Hour)
		}
		synctest.Wait()
		for i := range 1000 {
			r.ShareAnswer(fmt.Sprint(i), []byte("x"), time.Hour)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("sharing took %v, want no time", took)
		}
		if got, want := r.SharingStats().Skipped, uint64(1000-maxShares); got != want {
			t.Errorf("%d answers were dropped, want %d", got, want)
		}
	})
}

// TestOldShares: an answer whose life ended in the queue isn't written, nor is one
// that is too large.
func TestOldShares(t *testing.T) {
	overAnswers(t, func(t *testing.T, r *Records, s *scriptedAnswers) {
		r.ShareAnswer("old", []byte("x"), 0)
		r.ShareAnswer("large", make([]byte, maxSharedAnswer+1), time.Hour)
		synctest.Wait()
		if _, writes := s.counts(); writes != 0 || r.SharingStats().Skipped != 1 {
			t.Errorf("wrote %d answers and skipped %d, want 0 and 1", writes, r.SharingStats().Skipped)
		}
	})
}

// TestPanicWhileSharing: a panic of the driver is an error, without its value.
func TestPanicWhileSharing(t *testing.T) {
	overAnswers(t, func(t *testing.T, r *Records, s *scriptedAnswers) {
		s.read = func(context.Context, string) ([]byte, error) { panic("a secret") }
		s.write = func(context.Context, string) error { panic("a secret") }
		if _, _, err := shared(t, r, "a", time.Second); !errors.Is(err, schema.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want that it is unavailable, without the value", err)
		}
		r.ShareAnswer("b", []byte("x"), time.Hour)
		synctest.Wait()
		if got := r.SharingStats().Errors; got != 2 {
			t.Errorf("got %d errors, want 2", got)
		}
	})
}

// TestNothingRunsUnshared: without a shared answer, no goroutine runs.
func TestNothingRunsUnshared(t *testing.T) {
	r := scriptedRecords(&scriptedAnswers{})
	ended := make(chan struct{})
	go func() { r.running.Wait(); close(ended) }()
	<-ended
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
