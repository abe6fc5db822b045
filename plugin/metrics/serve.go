package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// bindAgain is how often an address is tried that another process has: at a
// reload the old one goes on for a while.
const bindAgain = time.Second

// Serve answers /metrics, /healthz and /readyz at address, a host:port or the
// path of a Unix socket, until ctx ends. It waits for an address that is in use;
// log is told of that and of what makes serving end, once each.
func (m *Metrics) Serve(ctx context.Context, address string, source Source, log func(string)) {
	server := &http.Server{Handler: m.mux(source), ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, MaxHeaderBytes: 8 << 10}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	told := false
	for ctx.Err() == nil {
		listener, err := listen(address)
		if err == nil {
			if err = server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				log(fmt.Sprintf("metrics at %s: %v", address, err))
			}
			return
		}
		if !told {
			log(fmt.Sprintf("metrics at %s: %v; it is tried again", address, err))
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(bindAgain):
		}
	}
}

// listen takes a Unix socket over from a process before, and a port when that
// has left it.
func listen(address string) (net.Listener, error) {
	if !strings.HasPrefix(address, "/") {
		return net.Listen("tcp", address)
	}
	own := fmt.Sprintf("%s.%d", address, os.Getpid())
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: own, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	if err := os.Rename(own, address); err != nil {
		return nil, errors.Join(err, listener.Close(), os.Remove(own))
	}
	return listener, nil
}

func (m *Metrics) mux(source Source) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.ServeMetrics())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := readiness(source); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// readiness returns why tokens of a configuration can't be enriched now. Kong
// starts a configuration with its first request, so that there may be none yet.
func readiness(source Source) error {
	var errs []error
	for _, s := range source.States() {
		if s.NotReady != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Issuer, s.NotReady))
		}
	}
	return errors.Join(errs...)
}
