package cache

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Stats counts lookups since the start; Entries and Bytes are what is cached now.
type Stats struct {
	Hits, Misses, Stale uint64
	Entries, Bytes      int
	Errors              map[string]uint64 // lookups that Redis didn't answer, by kind
}

// SharingStats counts, since the start, the shared answers that couldn't be read or
// written, and those that weren't tried, because Redis had just failed or much was
// to do.
type SharingStats struct{ Errors, Skipped uint64 }

// stats counts lookups. Safe for concurrent use.
type stats struct {
	hits, misses, stale atomic.Uint64

	mu     sync.Mutex
	errors map[string]uint64
}

// Stats returns the current counts.
func (r *Records) Stats() Stats {
	s := Stats{Hits: r.stats.hits.Load(), Misses: r.stats.misses.Load(), Stale: r.stats.stale.Load()}
	s.Entries, s.Bytes = r.tier.size()
	r.stats.mu.Lock()
	defer r.stats.mu.Unlock()
	s.Errors = maps.Clone(r.stats.errors)
	return s
}

// SharingStats returns the current counts.
func (r *Records) SharingStats() SharingStats {
	return SharingStats{Errors: r.sharing.failed.Load(), Skipped: r.sharing.skipped.Load()}
}

func (s *stats) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errors == nil {
		s.errors = map[string]uint64{}
	}
	s.errors[errorKind(err)]++
}

// redisErrors are the error replies that an operator distinguishes.
var redisErrors = []struct{ prefix, kind string }{
	{"NOAUTH", "auth"}, {"WRONGPASS", "auth"}, {"NOPERM", "auth"},
	{"LOADING", "loading"}, {"CLUSTERDOWN", "cluster"}, {"MOVED", "cluster"}, {"TRYAGAIN", "cluster"}, {"MASTERDOWN", "cluster"},
	{"OOM", "memory"}, {"BUSY", "busy"},
}

// errorKind sorts the reasons why Redis didn't answer into a few kinds.
func errorKind(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(err, errPaused):
		return "paused"
	case errors.Is(err, errBusy):
		return "busy"
	case errors.As(err, &dns):
		return "dns"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &op) && op.Op == "dial":
		return "connect"
	}
	for _, k := range redisErrors {
		if redis.HasErrorPrefix(err, k.prefix) {
			return k.kind
		}
	}
	return "other"
}
