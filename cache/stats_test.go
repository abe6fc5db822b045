package cache

import (
	"context"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"m2m-token-enricher/schema"
)

func TestStats(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		expect(t, r, s, good, nil, 1)
		pass(30 * time.Second)
		s.next(nil, errSilent)
		expect(t, r, s, good, nil, 2)
		expect(t, r, s, good, nil, 2) // Redis is left alone
		got := r.Stats()
		if got.Hits != 1 || got.Misses != 3 || got.Stale != 2 || got.Entries != 1 || got.Bytes == 0 ||
			got.Errors["other"] != 1 || got.Errors["paused"] != 1 {
			t.Errorf("got %+v", got)
		}
	})
}

// redisError is an error reply.
type redisError string

func (e redisError) Error() string { return string(e) }

func (redisError) RedisError() {}

func TestKindsOfErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		kind string
	}{
		{redisError("NOAUTH Authentication required."), "auth"},
		{redisError("LOADING Redis is loading the dataset in memory"), "loading"},
		{redisError("CLUSTERDOWN Hash slot not served"), "cluster"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "connect"},
		{&net.DNSError{Err: "no such host"}, "dns"},
		{context.DeadlineExceeded, "timeout"},
		{io.EOF, "other"},
		{errBusy, "busy"},
		{errPaused, "paused"},
	} {
		if got := errorKind(fmt.Errorf("k: %w: %w", schema.ErrUnavailable, tt.err)); got != tt.kind {
			t.Errorf("%v is of kind %s, not %s", tt.err, got, tt.kind)
		}
	}
}
