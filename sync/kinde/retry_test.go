package kinde

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestRateLimit(t *testing.T) {
	w := start(t)
	w.fill(1200)
	w.tenant.LimitRate(2, time.Hour)
	w.at = func(time.Duration) { w.tenant.NextWindow() }
	pages, err := w.all(t.Context())
	if err != nil || len(pages) != 3 {
		t.Errorf("got %d pages, %v", len(pages), err)
	}
	if got := w.waited(); len(got) != 1 || got[0] != maxReset {
		t.Errorf("got waits of %v", got)
	}
}

func TestReset(t *testing.T) {
	w := start(t)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		limit, after string
		want         time.Duration // zero: the backoff
	}{
		"RateLimit-Reset":      {"17", "", 17 * time.Second},
		"Retry-After":          {"", "18", 18 * time.Second},
		"both":                 {"17", "18", 17 * time.Second},
		"a date":               {"", "Tue, 24 Nov 2026 12:00:30 GMT", 30 * time.Second},
		"a date in the past":   {"", "Tue, 24 Nov 2026 11:00:00 GMT", 0},
		"a date next year":     {"", "Wed, 24 Nov 2027 12:00:00 GMT", maxReset},
		"more than the bound":  {"301", "", maxReset},
		"more than an integer": {"99999999999999999999", "", 0},
		"garbage, then good":   {"soon", "18", 18 * time.Second},
		"garbage":              {"soon", "later", 0},
		"negative":             {"-1", "", 0},
		"zero":                 {"0", "", 0},
		"none":                 {"", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w.now = now
			before := len(w.waited())
			w.tenant.Replace("/api/v1/applications", func(rw http.ResponseWriter, _ *http.Request) {
				w.tenant.Replace("/api/v1/applications", nil)
				rw.Header().Set("RateLimit-Reset", c.limit)
				rw.Header().Set("Retry-After", c.after)
				rw.WriteHeader(http.StatusTooManyRequests)
			})
			w.list(t)
			got := w.waited()[before:]
			asked := len(got) == 1 && got[0] == c.want
			backedOff := len(got) == 1 && got[0] >= firstBackoff/2 && got[0] < firstBackoff
			if (c.want == 0 && !backedOff) || (c.want != 0 && !asked) {
				t.Errorf("got waits of %v", got)
			}
		})
	}
}

func TestFailureIsTriedAgain(t *testing.T) {
	w := start(t)
	for n, status := range []int{500, 502, 503, 504} {
		w.tenant.FailCall(n+1, status)
	}
	w.tenant.CutCall(5)
	w.list(t)
	if hits := w.tenant.Hits("/api/v1/applications"); hits != attempts {
		t.Errorf("got %d attempts, want %d", hits, attempts)
	}
}

// TestGivesUp after waits that double, each with a random half.
func TestGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(*world)
		says []string
	}{
		"busy": {func(w *world) { w.tenant.LimitRate(1, 10*time.Hour); w.list(w.t) }, []string{"after 6 attempts", "status 429"}},
		"unavailable": {func(w *world) {
			w.answer("/api/v1/applications", 503, `{"errors":[{"code":"BUSY","message":"later"}]}`)
		}, []string{`applications: after 6 attempts: GET /api/v1/applications: status 503: "BUSY": "later"`}},
		"cut": {func(w *world) {
			for n := range attempts {
				w.tenant.CutCall(n + 1)
			}
		}, []string{"after 6 attempts: read the answer of GET /api/v1/applications: unexpected EOF"}},
		"nobody listens":     {func(w *world) { w.tenant.Close() }, []string{"get a token: after 6 attempts", "connect"}},
		"the token endpoint": {func(w *world) { w.answer(tokenPath, 502, "") }, []string{"get a token: after 6 attempts", "status 502"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			c.fail(w)
			_, err := w.all(t.Context())
			w.expectError(t, err, c.says...)
			got := w.waited()
			if len(got) != attempts-1 {
				t.Fatalf("got waits of %v, want %d", got, attempts-1)
			}
			for i, d := range got {
				if most := firstBackoff << i; name != "busy" && (d < most/2 || d >= most) {
					t.Errorf("got a wait %d of %v, want at least %v and less than %v", i, d, most/2, most)
				}
			}
		})
	}
}

func TestRefusalIsFinal(t *testing.T) {
	w := start(t)
	for i, status := range []int{201, 204, 304, 400, 403, 409, 410} {
		w.answer("/api/v1/applications", status, "")
		_, err := w.all(t.Context())
		w.expectError(t, err, fmt.Sprint("status ", status))
		if hits := w.tenant.Hits("/api/v1/applications"); hits != i+1 || len(w.waited()) > 0 {
			t.Errorf("status %d was tried again", status)
		}
	}
}

// TestSlowAnswer: a request that takes too long is made again.
func TestSlowAnswer(t *testing.T) {
	w := start(t)
	w.list(t)
	w.http.Timeout = 50 * time.Millisecond
	w.tenant.Delay(time.Hour)
	w.at = func(time.Duration) {
		w.http.Timeout = requestTimeout
		w.tenant.Delay(0)
	}
	w.list(t)
	if got := w.waited(); len(got) != 1 {
		t.Errorf("got waits of %v", got)
	}
}

// TestContextEndsARequest: the request isn't made again.
func TestContextEndsARequest(t *testing.T) {
	w := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.tenant.Replace("/api/v1/user", func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := w.User(ctx, "kp_a")
	w.expectError(t, err, `user "kp_a"`)
	if !errors.Is(err, context.Canceled) || len(w.waited()) > 0 {
		t.Errorf("got %v after waits of %v", err, w.waited())
	}
}

// TestContextEndsAWait: the error still says what failed.
func TestContextEndsAWait(t *testing.T) {
	for path, says := range map[string]string{"/api/v1/user": "wait to try again after", tokenPath: "get a token: wait to try again after"} {
		w := start(t)
		w.answer(path, http.StatusBadGateway, "")
		ctx, cancel := context.WithCancel(t.Context())
		w.at = func(time.Duration) { cancel() }
		_, err := w.User(ctx, "kp_a")
		w.expectError(t, err, says, "status 502")
		if hits := w.tenant.Hits(path); !errors.Is(err, context.Canceled) || hits != 1 {
			t.Errorf("%s: got %v after %d requests, want a cancelled context after 1", path, err, hits)
		}
	}
}

// TestWait: the wait of a client outside of tests.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if err := wait(t.Context(), time.Minute); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("waited %v: %v", time.Since(begin), err)
		}
		begin = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := wait(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("waited %v: %v", time.Since(begin), err)
		}
	})
}
