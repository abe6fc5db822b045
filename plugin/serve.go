package plugin

import (
	"context"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"m2m-token-enricher/plugin/audit"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/metrics"
	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/plugin/socket"
	"m2m-token-enricher/plugin/traces"
)

// flushTime is how long sending the last spans may take.
const flushTime = 2 * time.Second

// Options say where the server listens and who observes it.
type Options struct {
	Prefix  string // Kong's, where the socket is made
	Metrics string // host:port or Unix socket's path where metrics are served; "": nowhere

	Audit     string // the file of the audit log; "": none
	AuditSize int64  // bytes that it may have before it is rotated

	// Users that may connect to the sockets beside root and the process's own.
	// Those of Kong's socket can have the gateway's key sign.
	SocketUsers, MetricsUsers []uint32
}

// Serve runs the plugin server until ctx ends. Then it starts no more events and
// waits for those that run.
func Serve(ctx context.Context, o Options) error {
	path := filepath.Join(o.Prefix, Name+".socket")
	listener, err := socket.Listen(path, o.SocketUsers, logRefusals(path, "-socket-user"))
	if err != nil {
		return err
	}
	log.Printf("%s: listening at %s; signatures by %s", Name, path, jws.Signatures())
	started := newInstances()
	defer started.startObservers(ctx, o)()
	defer context.AfterFunc(ctx, started.stopWaiting)()
	return pdk.NewServer(Name, started).Serve(ctx, listener)
}

// stopWaiting sends the requests that wait for another's answer to the provider: a
// server that ends may not have the time.
func (is *instances) stopWaiting() {
	is.mu.Lock()
	known := slices.Collect(maps.Values(is.known))
	is.mu.Unlock()
	for _, i := range known {
		if i.gateway != nil {
			i.gateway.StopWaiting()
		}
	}
}

// startObservers starts the observers that o and the environment ask for.
func (is *instances) startObservers(ctx context.Context, o Options) (stop func()) {
	is.observers.traces = traces.New(ctx, os.Getenv, Version)
	if o.Audit != "" {
		is.observers.audit = audit.Open(o.Audit, o.AuditSize)
	}
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	if o.Metrics != "" {
		is.observers.metrics = metrics.New(metrics.Build{Version: Version, Go: runtime.Version(), Signatures: jws.Signatures()}, is)
		serving.Go(func() { is.serveMetrics(ctx, o.Metrics, o.MetricsUsers) })
	}
	return func() {
		cancel()
		serving.Wait()
		if err := is.observers.audit.Close(); err != nil {
			log.Printf("%s: audit log: %v", Name, err)
		}
		last, cancel := context.WithTimeout(context.Background(), flushTime)
		defer cancel()
		if err := is.observers.traces.Close(last); err != nil {
			log.Printf("%s: traces: %v", Name, err)
		}
	}
}

func (is *instances) serveMetrics(ctx context.Context, address string, users []uint32) {
	refused := logRefusals(address, "-metrics-user")
	listen := func() (net.Listener, error) { return socket.ListenAt(address, users, refused) }
	is.observers.metrics.Serve(ctx, listen, func(line string) { log.Printf("%s: metrics at %s: %s", Name, address, line) })
}

// logRefusals returns a function that logs why a connection to the socket at path
// was refused, and skips some that repeat. flag is the one that names more users.
func logRefusals(path, flag string) (refused func(why string)) {
	refusals := newFailureLimit(time.Now)
	return func(why string) {
		allowed, skipped := refusals.allow("socket", why)
		if !allowed {
			return
		}
		line := fmt.Sprintf("%s: a connection to %s was refused: %s. Only root, this process's user and those named by %s may connect", Name, path, why, flag)
		if skipped > 0 {
			line += fmt.Sprintf(" not_logged=%d", skipped)
		}
		log.Print(line)
	}
}
