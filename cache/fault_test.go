package cache

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// TestKillNine kills Redis and brings it back empty.
func TestKillNine(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r := lookups(t, server, m2m)
	tr := drive(t, r, server.Client(), "a", "b", "c", "d")
	server.Stop()
	tr.fails(100)
	tr.absent.Store(true)
	server.Restart()
	tr.recovers(server.Client(), server)
}

// closed closes r and waits until its connections are gone.
func closed(t *testing.T, r *Records, servers ...*redistest.Server) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	waitClosed(t, servers...)
}

// TestStopFor5s: while Redis is stopped a record is served as long as the
// configuration says and then no longer, and that there is none never is.
func TestStopFor5s(t *testing.T) {
	t.Parallel()
	const ttl, negative, stale = time.Second, time.Second, 2 * time.Second
	server := redistest.Start(t, reader...)
	r := lookups(t, server, func(c map[string]any) {
		m2m(c)
		c["cache"] = map[string]any{"ttl": ttl.Seconds(), "negative_ttl": negative.Seconds(), "stale_ttl": stale.Seconds()}
	})
	tr := drive(t, r, server.Client(), "a", "b")
	no := drive(t, r, nil, "absent")
	no.waitFor("answers", &no.failed, 10)

	before := time.Now()
	server.Pause()
	stopped := time.Now()
	// An answer may come late because of the machine, and so may the question that
	// makes a held record young, hence what is certain.
	tr.require(func(a answer) error {
		switch {
		case a.version == 0:
			return errors.New("the last known record is missing")
		case a.err != nil && a.end.Before(before.Add(stale-patience)): // asked at most ttl before
			return errors.New("unavailable though it may be stale")
		case a.err == nil && a.begin.After(stopped.Add(ttl+stale)):
			return errors.New("served though it is too old")
		}
		return nil
	})
	no.require(func(a answer) error {
		if a.begin.After(stopped.Add(negative)) && !errors.Is(a.err, schema.ErrUnavailable) || a.version != 0 {
			return errors.New("an outage is answered with a held absence")
		}
		return nil
	})
	no.waitFor("an outage that is told", &no.failed, 100)
	await.True(t, "record that is too old", func() bool { return tr.failed.Load() > 100 && time.Since(stopped) > ttl+stale })
	no.require(anything)
	tr.require(anything) // or what is served from now on would be too old
	server.Resume()
	tr.back(server.Client(), time.Now())
	tr.stop()
	no.stop()
	closed(t, r, server)
}

// TestRestartLoading: a Redis that loads its data says so instead of answering,
// which must not be taken for the absence of a record.
func TestRestartLoading(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r := lookups(t, server, m2m)
	tr := drive(t, r, server.Client(), "a", "b", "c", "d")
	var loading atomic.Bool
	tr.require(func(a answer) error {
		if a.err != nil && strings.Contains(a.err.Error(), "LOADING") {
			loading.Store(true)
		}
		return nil
	})
	server.RestartLoading(3 * time.Second) // longer than a pause, so that one request meets it
	await.True(t, "word of loading", loading.Load)
	server.WaitLoaded()
	tr.recovers(server.Client(), server)
}

// TestSlowRedis: a Redis that needs longer than a request may wait is as good
// as silent.
func TestSlowRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	for name, timeout := range map[string]float64{"than the deadline": 2000, "than its timeout": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, proxy := throughProxy(t, server, func(c map[string]any) { c["redis"].(map[string]any)["timeout"] = timeout })
			tr := drive(t, r, server.Client(), name+"1", name+"2")
			proxy.Delay(2 * patience)
			tr.waitFor("failures", &tr.failed, 2)
			tr.waitFor("failures", &tr.failed, 20)
			proxy.Pass()
			tr.recovers(server.Client(), server)
		})
	}
}

// TestFullPool: who finds every connection busy waits as long as it may, and
// that says nothing of Redis.
func TestFullPool(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r, proxy := throughProxy(t, server, func(c map[string]any) {
		c["redis"].(map[string]any)["keepalive_pool_size"] = 1.0
		c["redis"].(map[string]any)["timeout"] = 20_000.0
	})
	write(t, server, prefix+"app:a", "region", "a/1")
	if got := region(t, r, "a"); got != "a/1" {
		t.Fatal(got)
	}
	proxy.Hold()
	var holder sync.WaitGroup
	holder.Go(func() {
		if got := region(t, r, "a"); got != "a/1" {
			t.Errorf("who has the connection got %s", got)
		}
	})
	await.True(t, "busy connection", func() bool { return len(r.nodes.get("").slots) == 1 })
	tr := drive(t, r, nil, "b", "c", "d")
	tr.require(func(a answer) error {
		if !errors.Is(a.err, schema.ErrUnavailable) || !errors.Is(a.err, context.DeadlineExceeded) {
			return errors.New("not the end of the time")
		}
		return nil
	})
	tr.waitFor("failures", &tr.failed, 12)
	tr.stop()
	proxy.Pass()
	holder.Wait()
	if got := region(t, r, "a"); got != "a/1" {
		t.Errorf("after the wait: %s", got)
	}
	closed(t, r, server)
}

// TestFullPoolEndsQuestions: a question that gets no connection ends after the
// timeouts of one, even if its callers would wait longer.
func TestFullPoolEndsQuestions(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r := lookups(t, server, func(c map[string]any) {
		m2m(c)
		c["redis"].(map[string]any)["keepalive_pool_size"] = 1.0
	})
	write(t, server, prefix+"app:a", "region", "a/1")
	r.nodes.get("").slots <- struct{}{}
	if _, err := r.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), "busy") {
		t.Errorf("got %v", err)
	}
	<-r.nodes.get("").slots
	serves(t, r, "a", "a/1")
}

// TestRefusedForLong: however many connections were refused, the first lookup
// after the pause finds Redis again.
func TestRefusedForLong(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r, proxy := throughProxy(t, server, nil)
	skip := skipping(r)
	tr := drive(t, r, server.Client(), "a", "b", "c")
	proxy.Refuse()
	proxy.Drop()
	tr.waitFor("failures", &tr.failed, 10)
	tr.require(unserved)
	for range 200 { // more than keepalive_pool_size
		skip(retryInterval)
		tr.waitFor("failures", &tr.failed, 1)
	}
	tr.require(anything)
	proxy.Pass()
	tr.recovers(server.Client(), server)
}

// TestUnknownHost: a name that doesn't resolve is an outage.
func TestUnknownHost(t *testing.T) {
	t.Parallel()
	r := New(configAt(t, 6379, func(c map[string]any) { c["redis"].(map[string]any)["host"] = "redis.invalid" }), nil)
	tr := drive(t, r, nil, "a", "b")
	tr.require(unserved)
	tr.waitFor("failures", &tr.failed, 20)
	tr.stop()
	closed(t, r)
}

// TestHeld: a network that takes everything and gives nothing back.
func TestHeld(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r, proxy := throughProxy(t, server, nil)
	tr := drive(t, r, server.Client(), "a", "b", "c")
	proxy.Hold()
	tr.waitFor("failures", &tr.failed, 2*int64(len(tr.ids)))
	tr.fails(100)
	proxy.Pass()
	tr.recovers(server.Client(), server)
}
