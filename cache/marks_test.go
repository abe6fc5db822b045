package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// withoutReuse is the part of a scripted store that tests of records don't use.
type withoutReuse struct{}

func (withoutReuse) marks(context.Context, string) (schema.Record, error) {
	return nil, errors.New("not asked for")
}

func (withoutReuse) readAnswer(context.Context, string) ([]byte, error) {
	return nil, errors.New("not asked for")
}

func (withoutReuse) writeAnswer(context.Context, string, []byte, time.Duration) error {
	return errors.New("not asked for")
}

// scriptedMarks is a store whose marks, or error, the test sets.
type scriptedMarks struct {
	scripted
	asked atomic.Int64
	now   atomic.Pointer[func(context.Context) (schema.Record, error)]
}

func (s *scriptedMarks) marks(ctx context.Context, _ string) (schema.Record, error) {
	s.asked.Add(1)
	return (*s.now.Load())(ctx)
}

func (s *scriptedMarks) says(marks schema.Record, err error) {
	answer := func(context.Context) (schema.Record, error) { return marks, err }
	s.now.Store(&answer)
}

// overMarks runs f in a bubble whose time the test moves. The only mark is all=1.
func overMarks(t *testing.T, f func(t *testing.T, r *Records, s *scriptedMarks)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scriptedMarks{}
		s.says(schema.Record{"all": "1"}, nil)
		r := scriptedRecords(s)
		f(t, r, s)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// wantMarks fails the test unless r has the marks want, which nil means none can be
// known, and the store was asked so often until then.
func (s *scriptedMarks) want(t *testing.T, r *Records, want schema.Record, asked int64) {
	t.Helper()
	got, err := r.PurgeMarks(t.Context())
	if !maps.Equal(got, want) || (err == nil) != (want != nil) {
		t.Errorf("got the marks %v, %v, want %v", got, err, want)
	}
	if n := s.asked.Load(); n != asked {
		t.Errorf("the store was asked %d times, want %d", n, asked)
	}
}

var one, two, none = schema.Record{"all": "1"}, schema.Record{"all": "2"}, schema.Record{}

// TestMarksAreFresh: the marks are read once in half a second, whoever asks, and
// only if somebody asks.
func TestMarksAreFresh(t *testing.T) {
	overMarks(t, func(t *testing.T, r *Records, s *scriptedMarks) {
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				if got, err := r.PurgeMarks(t.Context()); err != nil || got["all"] != "1" {
					t.Errorf("got the marks %v, %v, want %v", got, err, one)
				}
			})
		}
		callers.Wait()
		s.says(two, nil)
		pass(marksTTL - 1)
		s.want(t, r, one, 1)
		pass(1)
		s.want(t, r, two, 2)
		r.jitter = func() float64 { return 1 }
		pass(marksTTL)
		s.want(t, r, two, 3)
		pass(marksTTL * 9 / 10)
		s.want(t, r, two, 4)
		pass(time.Hour)
		if n := s.asked.Load(); n != 4 {
			t.Errorf("asked %d times by nobody, want 0", n-4)
		}
	})
}

// TestNoMarks: no hash is a definite answer, and stands in as any other one.
func TestNoMarks(t *testing.T) {
	overMarks(t, func(t *testing.T, r *Records, s *scriptedMarks) {
		s.says(none, nil)
		s.want(t, r, none, 1)
		s.says(nil, errSilent)
		pass(time.Minute)
		s.want(t, r, none, 2)
	})
}

// TestMarksStandIn: while Redis is silent, the last marks are known for as long as a
// record may be stale.
func TestMarksStandIn(t *testing.T) {
	overMarks(t, func(t *testing.T, r *Records, s *scriptedMarks) {
		s.want(t, r, one, 1)
		s.says(nil, errSilent)
		pass(r.maxAge() - 1)
		s.want(t, r, one, 2)
		pass(1)
		s.want(t, r, nil, 2) // Redis is left alone for a second
		pass(time.Second)
		s.want(t, r, nil, 3)
		s.says(two, nil)
		pass(time.Second)
		s.want(t, r, two, 4)
	})
}

// TestMarksNobodyKnows: without Redis from the start, no marks are known.
func TestMarksNobodyKnows(t *testing.T) {
	overMarks(t, func(t *testing.T, r *Records, s *scriptedMarks) {
		s.says(nil, errSilent)
		if _, err := r.PurgeMarks(t.Context()); !errors.Is(err, schema.ErrUnavailable) {
			t.Errorf("got %v, want that it is unavailable", err)
		}
	})
}

// TestInvalidMarks: what Redis says is no answer, but it is one: the last marks
// don't stand in for it.
func TestInvalidMarks(t *testing.T) {
	many := schema.Record{}
	for i := range schema.MaxPurgeMarks + 1 {
		many[fmt.Sprint("client:", i)] = "1"
	}
	for name, tt := range map[string]struct {
		marks schema.Record
		err   error
	}{
		"another type": {nil, errInvalid},
		"too many":     {many, nil},
		"too long":     {schema.Record{"all": strings.Repeat("x", maxMarkSize)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			overMarks(t, func(t *testing.T, r *Records, s *scriptedMarks) {
				s.want(t, r, one, 1)
				s.says(tt.marks, tt.err)
				pass(marksTTL)
				for range 2 {
					if _, err := r.PurgeMarks(t.Context()); !errors.Is(err, schema.ErrInvalidRecord) || s.asked.Load() != 2 {
						t.Errorf("got %v after %d questions, want an invalid record after 2", err, s.asked.Load())
					}
				}
			})
		})
	}
}

// TestLargestMarks: the tier keeps as many marks as a purge may leave.
func TestLargestMarks(t *testing.T) {
	overMarks(t, func(t *testing.T, r *Records, s *scriptedMarks) {
		marks := schema.Record{schema.PurgedAll: "1"}
		for i := range schema.MaxPurgeMarks - 1 {
			marks[schema.PurgedClient(strings.Repeat("x", schema.MaxIDSize-3)+fmt.Sprint(100+i))] = strings.Repeat("1", 64)
		}
		s.says(marks, nil)
		s.want(t, r, marks, 1)
		s.want(t, r, marks, 1)
	})
}

// TestHangingMarks: a Redis that hangs costs callers half of their time once. After
// that nobody waits as long as the last marks stand in.
func TestHangingMarks(t *testing.T) {
	overMarks(t, func(t *testing.T, r *Records, s *scriptedMarks) {
		s.want(t, r, one, 1)
		hang := func(ctx context.Context) (schema.Record, error) { <-ctx.Done(); return nil, errSilent }
		s.now.Store(&hang)
		pass(marksTTL)
		for i, want := range []time.Duration{marksTime / 2, 0, 0, 0, 0, 0} {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			begin := time.Now()
			got, err := r.PurgeMarks(ctx)
			if took := time.Since(begin); err != nil || got["all"] != "1" || took != want {
				t.Errorf("question %d: got %v, %v after %v, want the last marks after %v", i, got, err, took, want)
			}
			cancel()
			pass(r.budget())
		}
		s.says(two, nil)
		pass(r.budget() + retryInterval)
		if _, err := r.PurgeMarks(t.Context()); err != nil { // finds that Redis is back
			t.Error(err)
		}
		synctest.Wait()
		if got, err := r.PurgeMarks(t.Context()); err != nil || got["all"] != "2" {
			t.Errorf("got %v, %v, want %v", got, err, two)
		}
	})
}

// TestSlowMarks: marks that don't come cost a bounded time, also if none are known.
func TestSlowMarks(t *testing.T) {
	overMarks(t, func(t *testing.T, r *Records, s *scriptedMarks) {
		hang := func(ctx context.Context) (schema.Record, error) { <-ctx.Done(); return nil, errSilent }
		s.now.Store(&hang)
		begin := time.Now()
		if _, err := r.PurgeMarks(t.Context()); err == nil || time.Since(begin) != marksTime {
			t.Errorf("got %v after %v, want an error after %v", err, time.Since(begin), marksTime)
		}
	})
}

// withReuse makes the tracker follow the marks, too.
func withReuse(c *schema.Config) { c.Reuse.Enabled = true }

// marked waits until r has the mark all=want.
func marked(t *testing.T, r *Records, want string) {
	t.Helper()
	await.True(t, fmt.Sprintf("mark %q", want), func() bool {
		marks, err := r.PurgeMarks(t.Context())
		return err == nil && marks[schema.PurgedAll] == want
	})
}

// TestMarksInRedis: marks are read as they are, without those of another tenant.
func TestMarksInRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r := lookups(t, server, asReader, func(c *schema.Config) { c.Cache.TTL, c.Cache.StaleTTL = 30, 300 })
	skip := skipping(r)
	expect := func(want schema.Record, wantErr error) {
		t.Helper()
		skip(marksTTL)
		if got, err := r.PurgeMarks(t.Context()); !maps.Equal(got, want) || !errors.Is(err, wantErr) {
			t.Errorf("got the marks %v, %v, want %v, %v", got, err, want, wantErr)
		}
	}
	expect(none, nil)
	key := schema.PurgeMarksKey(prefix)
	write(t, server, "m2m:other:reuse:purged", "all", "1")
	expect(none, nil)
	write(t, server, key, "all", "a", "client:My Billing Service", "b")
	expect(schema.Record{"all": "a", "client:My Billing Service": "b"}, nil)
	if err := server.Client().Set(t.Context(), key, "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	expect(nil, schema.ErrInvalidRecord)
	if err := server.Client().Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	expect(none, nil)
	server.Stop()
	expect(none, nil)
	skip(r.maxAge())
	expect(nil, schema.ErrUnavailable)
}

// TestMarksByTracking: with cache.invalidation, a change of the marks is seen at
// once. The clock of the lookups stands still, so nothing expires.
func TestMarksByTracking(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	r := lookups(t, server, asReader, withInvalidation, withReuse)
	now := time.Now()
	r.now = func() time.Time { return now }
	waitTracked(t, r)
	marked(t, r, "")
	for i := range 3 {
		write(t, server, schema.PurgeMarksKey(prefix), "all", fmt.Sprint(i))
		marked(t, r, fmt.Sprint(i))
	}
	if err := server.Client().FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	marked(t, r, "")
}

// TestReportedKeys: Redis reports changes of the keys that are cached, and not of
// others below the prefix, such as an answer that gateways share.
func TestReportedKeys(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	for n, option := range map[string]option{"3": func(*schema.Config) {}, "4": withReuse} {
		r := lookups(t, server, asReader, withInvalidation, option)
		waitTracked(t, r)
		if info := server.Client().Info(t.Context(), "stats").Val(); !strings.Contains(info, "tracking_total_prefixes:"+n+"\r\n") {
			t.Errorf("got %s, want %s prefixes", info, n)
		}
		reported := invalidation{prefixes: tracked(r.cfg)}.tracked
		for key, want := range map[string]bool{
			prefix + "app:a": true, prefix + "org:a": true, prefix + "user:a": true, schema.PurgeMarksKey(prefix): n == "4",
			schema.SharedAnswerKey(prefix, "a"): false, prefix + "written:{" + prefix + "app:a}": false, "m2m:other:app:a": false,
		} {
			if got := reported(key); got != want {
				t.Errorf("%s: reported %v, want %v", key, got, want)
			}
		}
		closed(t, r, server)
	}
}
