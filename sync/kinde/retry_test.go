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
		t.Errorf("it waited %v", got)
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
		"a date that is over":  {"", "Tue, 24 Nov 2026 11:00:00 GMT", 0},
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
			told := len(got) == 1 && got[0] == c.want
			backedOff := len(got) == 1 && got[0] >= firstBackoff/2 && got[0] < firstBackoff
			if (c.want == 0 && !backedOff) || (c.want != 0 && !told) {
				t.Errorf("it waited %v", got)
			}
		})
	}
}

// TestLimitWithoutEnd: a tenant that is always busy is given up.
func TestLimitWithoutEnd(t *testing.T) {
	w := start(t)
	w.tenant.LimitRate(1, 10*time.Hour)
	w.list(t)
	_, err := w.all(t.Context())
	w.expectError(t, err, "after 6 attempts", "status 429")
	if got := w.waited(); len(got) != attempts-1 {
		t.Errorf("it waited %v", got)
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
		t.Errorf("it was tried %d times", hits)
	}
}

// TestFailureIsGivenUp after waits that double, each with a random half.
func TestFailureIsGivenUp(t *testing.T) {
	w := start(t)
	w.answer("/api/v1/user", http.StatusServiceUnavailable, `{"errors":[{"code":"BUSY","message":"come back"}]}`)
	_, err := w.User(t.Context(), "kp_a")
	w.expectError(t, err, `user "kp_a": after 6 attempts: GET /api/v1/user: status 503: "BUSY": "come back"`)
	got := w.waited()
	if len(got) != attempts-1 {
		t.Fatalf("it waited %v", got)
	}
	for i, d := range got {
		if most := firstBackoff << i; d < most/2 || d >= most {
			t.Errorf("wait %d was %v", i, d)
		}
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

func TestCutConnection(t *testing.T) {
	w := start(t)
	for n := range attempts {
		w.tenant.CutCall(n + 1)
	}
	_, err := w.all(t.Context())
	w.expectError(t, err, "after 6 attempts: read the answer of GET /api/v1/applications: unexpected EOF")
}

func TestNobodyListens(t *testing.T) {
	w := start(t)
	w.tenant.Close()
	_, err := w.all(t.Context())
	w.expectError(t, err, "get a token: after 6 attempts", "connect")
}

// TestSlowAnswer: a request has a time of its own, and is made again after it.
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
		t.Errorf("it waited %v", got)
	}
}

// TestContextEndsARequest, which is then not made again.
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

// TestContextEndsAWait and the error still says what it waited for.
func TestContextEndsAWait(t *testing.T) {
	w := start(t)
	w.tenant.FailCall(1, http.StatusBadGateway)
	ctx, cancel := context.WithCancel(t.Context())
	w.at = func(time.Duration) { cancel() }
	_, err := w.User(ctx, "kp_a")
	w.expectError(t, err, "wait to try again after", "status 502")
	if !errors.Is(err, context.Canceled) || w.tenant.Hits("/api/v1/user") != 1 {
		t.Errorf("got %v", err)
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
