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

// TestKilled kills Redis and brings it back empty.
func TestKilled(t *testing.T) {
	t.Parallel()
	ca := redistest.NewCA(t)
	cert, key := ca.Issue(t, "client")
	for name, tt := range map[string]struct {
		args    []string
		options func(*redistest.Server) []option
	}{
		"plain": {nil, func(*redistest.Server) []option { return []option{asReader} }},
		"mutual TLS": {ca.Args(true, "redis.internal"), func(s *redistest.Server) []option {
			return []option{overTLS(s.TLSPort(), ca.File(), cert, key, "redis.internal")}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, append(tt.args, reader...)...)
			r := lookups(t, server, tt.options(server)...)
			tr := drive(t, r, server.Client(), "a", "b", "c", "d")
			server.Stop()
			tr.fails(100)
			tr.absent.Store(true)
			server.Restart()
			tr.recovers(server.Client(), server)
		})
	}
}

// errorReplies are what Redis says when it can't serve. None is an answer about
// a record.
var errorReplies = []string{
	"READONLY You can't write against a read only replica.",
	"OOM command not allowed when used memory > 'maxmemory'.",
	"NOAUTH Authentication required.",
	"NOPERM this user has no permissions to run the 'hmget' command",
	"WRONGPASS invalid username-password pair or user is disabled.",
	"LOADING Redis is loading the dataset in memory",
	"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
	"CLUSTERDOWN The cluster is down",
	"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
	"TRYAGAIN Multiple keys request during rehashing of slot",
	"MOVED 1 127.0.0.1:1",
	"ERR max number of clients reached",
	"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
}

// TestOutages: while Redis is slow or silent or answers with an error, nothing is
// served, and everything soon after.
func TestOutages(t *testing.T) {
	t.Parallel()
	type outage struct {
		timeout int
		start   func(*redistest.Proxy)
	}
	outages := map[string]outage{
		"silent":                     {1000, (*redistest.Proxy).Hold},
		"slower than the deadline":   {2000, func(p *redistest.Proxy) { p.Delay(10 * patience) }},
		"slower than Redis' timeout": {100, func(p *redistest.Proxy) { p.Delay(10 * patience) }},
	}
	for _, reply := range errorReplies {
		for where, only := range map[string]string{"": "hmget", " to the setup": ""} {
			name, _, _ := strings.Cut(reply, " ")
			outages[name+where] = outage{1000, func(p *redistest.Proxy) {
				p.Handle(func(command []string) (string, bool) {
					return "-" + reply + "\r\n", only == "" || strings.EqualFold(command[0], only)
				})
				p.Drop() // so that connections are set up
			}}
		}
	}
	for name, tt := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, reader...)
			r, proxy := throughProxy(t, server, timeout(tt.timeout))
			tr := drive(t, r, server.Client(), "a", "b")
			tt.start(proxy)
			tr.waitFor("failures", &tr.failed, 10) // each request of before has ended
			tr.fails(20)
			proxy.Pass()
			tr.recovers(server.Client(), server)
		})
	}
}

// TestStopFor5s: while Redis is stopped, a record is served as long as the
// configuration says and no longer. A negative entry never is.
func TestStopFor5s(t *testing.T) {
	t.Parallel()
	const ttl, negative, stale = time.Second, time.Second, 2 * time.Second
	server := redistest.Start(t, reader...)
	r := lookups(t, server, asReader, func(c *schema.Config) { c.Cache.TTL, c.Cache.NegativeTTL, c.Cache.StaleTTL = 1, 1, 2 })
	tr := drive(t, r, server.Client(), "a", "b")
	no := drive(t, r, nil, "absent")
	no.waitFor("answers", &no.failed, 10)

	before := time.Now()
	server.Pause()
	stopped := time.Now()
	// A slow machine can delay an answer, and the fetch that renews a cached record.
	// Hence the test checks what is certain.
	tr.require(func(a answer) error {
		switch {
		case a.version == 0:
			return errors.New("the last known record is missing")
		case a.err != nil && a.end.Before(before.Add(stale-patience)): // fetched at most ttl before
			return errors.New("unavailable though it may be stale")
		case a.err == nil && a.begin.After(stopped.Add(ttl+stale)):
			return errors.New("served though it is too old")
		}
		return nil
	})
	no.require(func(a answer) error {
		if a.begin.After(stopped.Add(negative)) && !errors.Is(a.err, schema.ErrUnavailable) || a.version != 0 {
			return errors.New("an outage is answered with a negative entry")
		}
		return nil
	})
	no.waitFor("failures", &no.failed, 100)
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
	r := lookups(t, server, asReader)
	tr := drive(t, r, server.Client(), "a", "b", "c", "d")
	var loading atomic.Bool
	tr.require(func(a answer) error {
		if a.err != nil && strings.Contains(a.err.Error(), "LOADING") {
			loading.Store(true)
		}
		return nil
	})
	server.RestartLoading(3 * time.Second) // longer than a pause, so that one request meets it
	await.True(t, "answer while it loads", loading.Load)
	server.WaitLoaded()
	tr.recovers(server.Client(), server)
}

// TestFullPool: a lookup that finds every connection busy waits as long as it
// may, and that says nothing about Redis. Its fetch ends after the timeouts of
// one, even if its callers would wait longer.
func TestFullPool(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r, proxy := throughProxy(t, server, pool(1), timeout(20_000))
	write(t, server, prefix+"app:a", "region", "a/1")
	wantRegion(t, r, "a", "a/1")
	proxy.Hold()
	var holder sync.WaitGroup
	holder.Go(func() { wantRegion(t, r, "a", "a/1") })
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
	wantRegion(t, r, "a", "a/1")
	closed(t, r, server)

	r = lookups(t, server, asReader, pool(1))
	r.nodes.get("").slots <- struct{}{}
	if _, err := app(t, r, "a"); !errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), "busy") {
		t.Errorf("got %v, want that every connection is busy", err)
	}
	<-r.nodes.get("").slots
	serves(t, r, "a", "a/1")
}

// TestRefusedForLong: however many connections were refused, the first lookup
// after the pause finds Redis again.
func TestRefusedForLong(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r, proxy := throughProxy(t, server)
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
	r := open(t, configAt(6379, func(c *schema.Config) { c.Redis.Host = "redis.invalid" }))
	tr := drive(t, r, nil, "a", "b")
	tr.require(unserved)
	tr.waitFor("failures", &tr.failed, 20)
	tr.stop()
}
