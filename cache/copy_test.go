package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// heir returns the lookups that overScript has, with another configuration and a
// store that is silent, and with what from had.
func heir(t *testing.T, from *Records, change func(*schema.Config)) (*Records, *scripted) {
	t.Helper()
	s := &scripted{}
	s.next(nil, errSilent)
	cfg := &schema.Config{Prefix: "p:", Redis: from.cfg.Redis, Cache: from.cfg.Cache}
	if change != nil {
		change(cfg)
	}
	r := newRecords(cfg, s, time.Now)
	r.jitter = func() float64 { return 0 }
	r.copy(from)
	t.Cleanup(func() { _ = r.Close() })
	return r, s
}

// TestCopiedRecords: a record is served after the change of the configuration as
// before it, by the times of the new one.
func TestCopiedRecords(t *testing.T) {
	for name, tt := range map[string]struct {
		age    time.Duration
		cache  schema.Cache
		asked  int // how often the new store is
		served bool
	}{
		"fresh":                 {29 * time.Second, schema.Cache{TTL: 30, StaleTTL: 300}, 0, true},
		"stale":                 {30 * time.Second, schema.Cache{TTL: 30, StaleTTL: 300}, 1, true},
		"too old":               {330 * time.Second, schema.Cache{TTL: 30, StaleTTL: 300}, 1, false},
		"fresh for longer":      {40 * time.Second, schema.Cache{TTL: 60, StaleTTL: 300}, 0, true},
		"fresh for less long":   {10 * time.Second, schema.Cache{TTL: 5, StaleTTL: 300}, 1, true},
		"stale for less long":   {10 * time.Second, schema.Cache{TTL: 5, StaleTTL: 2}, 1, false},
		"changes are told":      {time.Second, schema.Cache{TTL: 30, StaleTTL: 300, Invalidation: true}, 1, true},
		"told, but it is older": {330 * time.Second, schema.Cache{TTL: 30, StaleTTL: 300, Invalidation: true}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			overScript(t, func(t *testing.T, from *Records, s *scripted) {
				expect(t, from, s, good, nil, 1)
				pass(tt.age)
				tt.cache.MaxEntries, tt.cache.MaxBytes = 100, 1<<20
				r, store := heir(t, from, func(cfg *schema.Config) { cfg.Cache = tt.cache })
				err := error(nil)
				if !tt.served {
					err = schema.ErrUnavailable // with the last known record
				}
				expect(t, r, store, good, err, tt.asked)
			})
		})
	}
}

// TestCopiedDoubts: what Redis told of as changed, or may have changed without
// being able to tell, is asked for again.
func TestCopiedDoubts(t *testing.T) {
	for name, tt := range map[string]struct {
		happens func(*tier)
		err     error
	}{
		"one changed":  {func(t *tier) { t.invalidate("p:app:a") }, schema.ErrUnavailable},
		"all may have": {(*tier).invalidateAll, nil},
	} {
		t.Run(name, func(t *testing.T) {
			overScript(t, func(t *testing.T, from *Records, s *scripted) {
				expect(t, from, s, good, nil, 1)
				tt.happens(from.tier)
				r, store := heir(t, from, nil)
				expect(t, r, store, good, tt.err, 1)
			})
		})
	}
}

// TestCopiedWithoutAProperty: where the new configuration asks for a property
// that the old one didn't, a record may not issue any more, but still refuse.
func TestCopiedWithoutAProperty(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after []schema.Claim
		err           error
	}{
		"added":          {nil, []schema.Claim{{Name: "plan", From: "application.plan"}}, schema.ErrUnavailable},
		"removed":        {[]schema.Claim{{Name: "plan", From: "application.plan"}}, nil, nil},
		"another kind's": {nil, []schema.Claim{{Name: "plan", From: "organization.plan"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			overScript(t, func(t *testing.T, from *Records, s *scripted) {
				from.properties = declared(&schema.Config{Claims: tt.before})
				expect(t, from, s, good, nil, 1)
				r, _ := heir(t, from, func(cfg *schema.Config) { cfg.Claims = tt.after })
				if got, err := ask(t, r); !errors.Is(err, tt.err) || got["org_code"] != "org_a" {
					t.Errorf("got %v, %v", got, err)
				}
				back, store := heir(t, r, func(cfg *schema.Config) { cfg.Claims = tt.before })
				expect(t, back, store, good, nil, 0)
			})
		})
	}
}

// TestCopiedNoAbsence: that there is no record isn't taken over.
func TestCopiedNoAbsence(t *testing.T) {
	overScript(t, func(t *testing.T, from *Records, s *scripted) {
		s.next(nil, errNoRecord)
		expect(t, from, s, nil, schema.ErrNoRecord, 1)
		r, store := heir(t, from, nil)
		expect(t, r, store, nil, schema.ErrUnavailable, 1)
	})
}

// TestCopiedBounds: of more records than the new configuration may hold those
// stay that were used last.
func TestCopiedBounds(t *testing.T) {
	for name, limit := range map[string]func(*schema.Cache){
		"entries": func(c *schema.Cache) { c.MaxEntries = 10 },
		"bytes":   func(c *schema.Cache) { c.MaxBytes = 10 * sizeOf("p:app:00", entry{record: good}) },
	} {
		t.Run(name, func(t *testing.T) {
			overScript(t, func(t *testing.T, from *Records, _ *scripted) {
				for i := range 50 {
					served(t, from, fmt.Sprint(10+i))
				}
				served(t, from, "10") // last
				r, _ := heir(t, from, func(cfg *schema.Config) { limit(&cfg.Cache) })
				if n := r.tier.entries.Len(); n != 10 || !served(t, r, "10") || !served(t, r, "59") || r.tier.entries.Contains("p:app:11") {
					t.Errorf("%d records are held, or not those that were used last", n)
				}
			})
		})
	}
}

// TestServes: records are shared by configurations of the same Redis and prefix.
func TestServes(t *testing.T) {
	cluster := func(ports ...int) (nodes []schema.ClusterNode) {
		for _, port := range ports {
			nodes = append(nodes, schema.ClusterNode{IP: "r", Port: port})
		}
		return nodes
	}
	sentinels := []schema.Node{{Host: "s", Port: 1}, {Host: "s", Port: 2}}
	for name, tt := range map[string]struct {
		a, b schema.Redis
		want bool
	}{
		"server":                {schema.Redis{Host: "r", Port: 1}, schema.Redis{Host: "r", Port: 1}, true},
		"accounts and timeouts": {schema.Redis{Host: "r", Port: 1}, schema.Redis{Host: "r", Port: 1, Username: "u", Password: "p", ReadTimeout: 5, PoolSize: 3, SSL: true, SSLCAFile: "/ca"}, true},
		"another host":          {schema.Redis{Host: "r", Port: 1}, schema.Redis{Host: "s", Port: 1}, false},
		"another port":          {schema.Redis{Host: "r", Port: 1}, schema.Redis{Host: "r", Port: 2}, false},
		"another database":      {schema.Redis{Host: "r", Port: 1}, schema.Redis{Host: "r", Port: 1, Database: 1}, false},
		"another name for TLS":  {schema.Redis{Host: "r", Port: 1, ServerName: "a"}, schema.Redis{Host: "r", Port: 1, ServerName: "b"}, false},
		"sentinels":             {schema.Redis{SentinelMaster: "m", SentinelNodes: sentinels}, schema.Redis{SentinelMaster: "m", SentinelNodes: sentinels, SentinelPassword: "p"}, true},
		"another master":        {schema.Redis{SentinelMaster: "m", SentinelNodes: sentinels}, schema.Redis{SentinelMaster: "n", SentinelNodes: sentinels}, false},
		"other sentinels":       {schema.Redis{SentinelMaster: "m", SentinelNodes: sentinels}, schema.Redis{SentinelMaster: "m", SentinelNodes: sentinels[:1]}, false},
		"its database":          {schema.Redis{SentinelMaster: "m", SentinelNodes: sentinels}, schema.Redis{SentinelMaster: "m", SentinelNodes: sentinels, Database: 1}, false},
		"cluster":               {schema.Redis{ClusterNodes: cluster(1, 2)}, schema.Redis{ClusterNodes: cluster(2, 1)}, true},
		"another cluster":       {schema.Redis{ClusterNodes: cluster(1, 2)}, schema.Redis{ClusterNodes: cluster(1, 3)}, false},
		"server and cluster":    {schema.Redis{Host: "r", Port: 1}, schema.Redis{ClusterNodes: cluster(1)}, false},
	} {
		r := &Records{cfg: &schema.Config{Prefix: "p:", Redis: tt.a}}
		if got := r.Serves(&schema.Config{Prefix: "p:", Redis: tt.b}); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
		if r.Serves(&schema.Config{Prefix: "q:", Redis: tt.b}) {
			t.Errorf("%s: with another prefix", name)
		}
	}
}

// TestCopyEnds: lookups wait for the copy as long as they may, and it ends with
// the lookups.
func TestCopyEnds(t *testing.T) {
	overScript(t, func(t *testing.T, from *Records, s *scripted) {
		expect(t, from, s, good, nil, 1)
		from.copied = make(chan struct{}) // it is still being copied itself
		r := New(&schema.Config{Prefix: "p:", Redis: from.cfg.Redis, Cache: from.cfg.Cache}, from)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Record(ctx, schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		heir := New(&schema.Config{Prefix: "p:", Redis: from.cfg.Redis, Cache: from.cfg.Cache}, from)
		close(from.copied)
		if got, err := ask(t, heir); err != nil || got["org_code"] != "org_a" {
			t.Errorf("got %v, %v", got, err)
		}
		if err := heir.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// TestCopyKeepsNothingAlive: the records that were copied go when they are
// closed.
func TestCopyKeepsNothingAlive(t *testing.T) {
	server := redistest.Start(t)
	cfg := configAt(t, server.Port(), func(c map[string]any) { c["cache"].(map[string]any)["invalidation"] = true })
	from := New(cfg, nil)
	r := New(cfg, from)
	defer r.Close()
	if err := from.Close(); err != nil {
		t.Error(err)
	}
	gone := weak.Make(from)
	from = nil
	await.True(t, "end of what was copied", func() bool { runtime.GC(); return gone.Value() == nil })
	runtime.KeepAlive(r)
}

// TestCopiedThenChanged: what changed between the copy and the moment from which
// Redis tells of changes is served as it is.
func TestCopiedThenChanged(t *testing.T) {
	server := redistest.Start(t)
	cfg := configAt(t, server.Port(), func(c map[string]any) {
		c["cache"] = map[string]any{"ttl": 300.0, "invalidation": true}
	})
	write(t, server, prefix+"app:a", "region", "eu")
	from := New(cfg, nil)
	defer from.Close()
	await.True(t, "word of changes", func() bool { n, err := from.Tracked(t.Context()); return n == 1 && err == nil })
	if got := region(t, from, "a"); got != "eu" {
		t.Fatal(got)
	}
	r := New(cfg, from)
	defer r.Close()
	<-r.copied
	write(t, server, prefix+"app:a", "region", "us")
	if got := region(t, r, "a"); got != "us" {
		t.Errorf("got %s", got)
	}
}
