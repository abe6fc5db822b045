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

// Loop repeats a run until its context ends, and serves its health. Set Every
// and Run.
type Loop struct {
	Every time.Duration
	// Run is one run. Its error is shown in the health, and doesn't end the loop.
	Run func(context.Context) error

	mu     sync.Mutex
	health health
	took   time.Duration // the last run
}

// health is the answer of the health endpoint.
type health struct {
	Healthy     bool      `json:"healthy"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastRun     time.Time `json:"last_run,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	Runs        int       `json:"runs"`
	Failures    int       `json:"failures"`
}

// jitter spreads the runs of daemons that start together.
const jitter = 0.1

// Until runs at once, and then about every interval, until ctx ends.
func (l *Loop) Until(ctx context.Context) {
	for ctx.Err() == nil {
		started := time.Now()
		l.record(started, l.Run(ctx))
		pause := time.Duration(float64(l.Every) * (1 - jitter + 2*jitter*rand.Float64()))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (l *Loop) record(started time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.health.Runs++
	l.health.LastRun = now
	l.took = now.Sub(started)
	l.health.LastError = ""
	if err != nil {
		l.health.Failures++
		l.health.LastError = err.Error()
	}
	// A run that completed is a success, even if single records stay as they were:
	// one bad record mustn't make somebody restart the daemon.
	if err == nil || errors.Is(err, ErrIncomplete) {
		l.health.LastSuccess = now
	}
}

// unhealthyAfter is how many intervals may pass without a success. The time of
// the last run counts instead of the interval if it was longer.
const unhealthyAfter = 3

// ServeHTTP answers 200 while the last success is recent, and 503 otherwise. The
// body has details.
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
