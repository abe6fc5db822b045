package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// getHealth asks the health endpoint.
func getHealth(t *testing.T, l *Loop) (status int, h health) {
	t.Helper()
	w := httptest.NewRecorder()
	l.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil {
		t.Errorf("%q: %v", w.Body, err)
	}
	if h.Healthy != (w.Code == 200) || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, %v, %+v", w.Code, w.Header(), h)
	}
	return w.Code, h
}

func TestLoopInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		started := time.Now()
		var pauses []time.Duration
		last := started
		l := &Loop{Every: time.Minute, Run: func(context.Context) error {
			pauses = append(pauses, time.Since(last))
			if len(pauses) == 200 {
				cancel()
			}
			<-time.After(time.Second) // its own time is no pause
			last = time.Now()
			return nil
		}}
		l.Until(ctx)
		if pauses[0] != 0 {
			t.Errorf("the first run was after %v", pauses[0])
		}
		distinct := map[time.Duration]bool{}
		for _, pause := range pauses[1:] {
			distinct[pause] = true
			if pause < 54*time.Second || pause > 66*time.Second {
				t.Errorf("a run was after %v", pause)
			}
		}
		if len(distinct) < 100 {
			t.Errorf("the pauses are too much alike: %v", distinct)
		}
		if _, h := getHealth(t, l); h.Runs != 200 || h.Failures != 0 {
			t.Errorf("got %+v", h)
		}
	})
}

func TestLoopHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error)
		l := &Loop{Every: time.Minute, Run: func(ctx context.Context) error {
			select {
			case err := <-results:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		ended := make(chan struct{})
		go func() { l.Until(ctx); close(ended) }()
		expect := func(what string, want int) health {
			t.Helper()
			synctest.Wait()
			status, h := getHealth(t, l)
			if status != want {
				t.Errorf("%s: status %d, %+v", what, status, h)
			}
			return h
		}
		expect("before the first run has ended", 503)
		results <- errors.New("out of reach")
		if h := expect("after a failure", 503); h.LastError != "out of reach" || !h.LastSuccess.IsZero() || h.Failures != 1 {
			t.Errorf("got %+v", h)
		}
		results <- nil
		if h := expect("after a success", 200); h.LastError != "" || h.LastSuccess.IsZero() || h.Runs != 2 {
			t.Errorf("got %+v", h)
		}
		results <- errors.New("out of reach")
		if h := expect("one failure later", 200); h.LastError == "" || !h.LastRun.After(h.LastSuccess) {
			t.Errorf("got %+v", h)
		}
		_, h := getHealth(t, l)
		<-time.After(time.Until(h.LastSuccess.Add(3 * time.Minute)))
		expect("three intervals later", 200)
		<-time.After(time.Nanosecond)
		expect("more than three intervals later", 503)
		results <- nil
		expect("after another success", 200)
		cancel()
		<-ended
	})
}

func TestLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, when := range []time.Duration{0, time.Second, 90 * time.Second} {
			ctx, cancel := context.WithCancel(t.Context())
			started, runs := time.Now(), 0
			if when == 0 {
				cancel()
			}
			time.AfterFunc(when, cancel)
			l := &Loop{Every: time.Minute, Run: func(context.Context) error { runs++; return nil }}
			l.Until(ctx)
			if time.Since(started) != when || when == 0 && runs > 0 {
				t.Errorf("it ended after %v, not %v, and %d runs", time.Since(started), when, runs)
			}
		}
	})
}

// TestHealthOfABadRecord: one bad record doesn't make the daemon unhealthy. The
// body says what is wrong.
func TestHealthOfABadRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		l := &Loop{Every: time.Minute, Run: func(context.Context) error { return ErrIncomplete }}
		l.Until(ctx)
		if status, h := getHealth(t, l); status != 200 || h.LastError == "" || h.Failures != h.Runs {
			t.Errorf("status %d, %+v", status, h)
		}
	})
}
