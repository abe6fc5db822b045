package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// retryInterval is how often Serve tries an address in use: at a reload the previous
// process keeps it for a while.
const retryInterval = time.Second

// Serve answers /metrics, /healthz and /readyz where listen listens, until ctx
// ends. It waits for an address that is in use. It logs that once, and why serving
// ended.
func (m *Metrics) Serve(ctx context.Context, listen func() (net.Listener, error), log func(string)) {
	server := &http.Server{Handler: m.mux(), ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, MaxHeaderBytes: 8 << 10}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	logged := false
	for ctx.Err() == nil {
		listener, err := listen()
		if err == nil {
			if err = server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				log(err.Error())
			}
			return
		}
		if !logged {
			log(fmt.Sprintf("%v; trying again every %v", err, retryInterval))
			logged = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
}

func (m *Metrics) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.scrapes())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := readiness(m.source.States()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// readiness returns why tokens of a configuration can't be enriched now. Kong starts
// a configuration with its first request, so there may be none yet.
func readiness(states []State) error {
	var errs []error
	for _, s := range states {
		if s.NotReady != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Issuer, s.NotReady))
		}
	}
	return errors.Join(errs...)
}
