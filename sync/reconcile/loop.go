package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Loop repeats a run until its context ends, and says how it does. Its zero
// value with Every and Run set is ready.
type Loop struct {
	Every time.Duration
	// Run is one run. Its error is told and doesn't end the loop.
	Run func(context.Context) error

	mu     sync.Mutex
	health health
	took   time.Duration // by the last run
}

// health is what the health endpoint answers.
type health struct {
	Healthy     bool      `json:"healthy"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastRun     time.Time `json:"last_run,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	Runs        int       `json:"runs"`
	Failures    int       `json:"failures"`
}

// jitter spreads the runs of daemons that were started together.
const jitter = 0.1

// Until runs at once, and then again every time, until ctx ends.
func (l *Loop) Until(ctx context.Context) {
	for ctx.Err() == nil {
		begun := time.Now()
		l.note(begun, l.Run(ctx))
		pause := time.Duration(float64(l.Every) * (1 - jitter + 2*jitter*rand.Float64()))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (l *Loop) note(begun time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.health.Runs++
	l.health.LastRun = now
	l.took = now.Sub(begun)
	l.health.LastError = ""
	if err != nil {
		l.health.Failures++
		l.health.LastError = err.Error()
	}
	// A run that came to its end is one, also if single records stay as they were:
	// whoever can spoil a record must not have the daemon restarted.
	if err == nil || errors.Is(err, ErrIncomplete) {
		l.health.LastSuccess = now
	}
}

// unhealthyAfter is how many times the interval, or the time that the last run
// took if that is longer, may pass without a success.
const unhealthyAfter = 3

// ServeHTTP answers 200 while the last success is recent, and 503 otherwise,
// before the first too; the body says more.
func (l *Loop) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	h, period := l.health, max(l.Every, l.took)
	l.mu.Unlock()
	h.Healthy = !h.LastSuccess.IsZero() && time.Since(h.LastSuccess) <= unhealthyAfter*period
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !h.Healthy {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(h) // the client may be gone
}
