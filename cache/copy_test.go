package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// reconfigured returns lookups of a changed configuration, with the records of
// previous and a silent store.
func reconfigured(t *testing.T, previous *Records, changes ...option) (*Records, *scripted) {
	t.Helper()
	s := &scripted{}
	s.next(nil, errSilent)
	r := scriptedRecords(s, append([]option{func(c *schema.Config) { c.Cache = previous.cfg.Cache }}, changes...)...)
	r.copy(previous)
	t.Cleanup(func() { _ = r.Close() })
	return r, s
}

// TestCopiedRecords: after a change of the configuration, a record is served as
// before, by the times of the new one.
func TestCopiedRecords(t *testing.T) {
	for name, tt := range map[string]struct {
		age    time.Duration
		cache  schema.Cache
		asked  int // how often the new store is
		served bool
	}{
		"fresh":               {29 * time.Second, schema.Cache{TTL: 30, StaleTTL: 300}, 0, true},
		"stale":               {30 * time.Second, schema.Cache{TTL: 30, StaleTTL: 300}, 1, true},
		"too old":             {330 * time.Second, schema.Cache{TTL: 30, StaleTTL: 300}, 1, false},
		"fresh for longer":    {40 * time.Second, schema.Cache{TTL: 60, StaleTTL: 300}, 0, true},
		"fresh for less long": {10 * time.Second, schema.Cache{TTL: 5, StaleTTL: 300}, 1, true},
		"stale for less long": {10 * time.Second, schema.Cache{TTL: 5, StaleTTL: 2}, 1, false},
		"invalidation":        {time.Second, schema.Cache{TTL: 30, StaleTTL: 300, Invalidation: true}, 1, true},
		"older, invalidation": {330 * time.Second, schema.Cache{TTL: 30, StaleTTL: 300, Invalidation: true}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			overScript(t, func(t *testing.T, from *Records, s *scripted) {
				expect(t, from, s, good, nil, 1)
				pass(tt.age)
				tt.cache.MaxEntries, tt.cache.MaxBytes = 100, 1<<20
				r, store := reconfigured(t, from, func(cfg *schema.Config) { cfg.Cache = tt.cache })
				err := error(nil)
				if !tt.served {
					err = schema.ErrUnavailable // with the last known record
				}
				expect(t, r, store, good, err, tt.asked)
			})
		})
	}
}

// TestCopiedInvalidated: a record that Redis reported as changed, or that may have
// changed unreported, is fetched again.
func TestCopiedInvalidated(t *testing.T) {
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
				r, store := reconfigured(t, from)
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
		"all":            {[]schema.Claim{{Name: "plan", From: "application.plan"}}, []schema.Claim{{From: "application"}}, schema.ErrUnavailable},
		"not all":        {[]schema.Claim{{From: "application"}}, []schema.Claim{{Name: "plan", From: "application.plan"}}, nil},
		"another kind's": {nil, []schema.Claim{{Name: "plan", From: "organization.plan"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			overScript(t, func(t *testing.T, from *Records, s *scripted) {
				from.properties = schema.NamesOf(&schema.Config{Claims: tt.before})
				expect(t, from, s, good, nil, 1)
				r, _ := reconfigured(t, from, func(cfg *schema.Config) { cfg.Claims = tt.after })
				if got, err := ask(t, r); !errors.Is(err, tt.err) || got["org_code"] != "org_a" {
					t.Errorf("got %v, %v, want the record and %v", got, err, tt.err)
				}
				back, store := reconfigured(t, r, func(cfg *schema.Config) { cfg.Claims = tt.before })
				expect(t, back, store, good, nil, 0)
			})
		})
	}
}

// TestCopiedNoAbsence: negative entries aren't copied.
func TestCopiedNoAbsence(t *testing.T) {
	overScript(t, func(t *testing.T, from *Records, s *scripted) {
		s.next(nil, errNoRecord)
		expect(t, from, s, nil, schema.ErrNoRecord, 1)
		r, store := reconfigured(t, from)
		expect(t, r, store, nil, schema.ErrUnavailable, 1)
	})
}

// TestCopiedBounds: if the new configuration allows fewer records, the ones used
// last are copied.
func TestCopiedBounds(t *testing.T) {
	for name, limit := range map[string]func(*schema.Cache){
		"entries": func(c *schema.Cache) { c.MaxEntries = 10 },
		"bytes":   func(c *schema.Cache) { c.MaxBytes = 10 * sizeOf("p:app:00", entry{record: good}) },
	} {
		t.Run(name, func(t *testing.T) {
			overScript(t, func(t *testing.T, from *Records, _ *scripted) {
				for i := range 50 {
					isServed(t, from, fmt.Sprint(10+i))
				}
				isServed(t, from, "10") // last
				r, _ := reconfigured(t, from, func(cfg *schema.Config) { limit(&cfg.Cache) })
				if n := r.tier.entries.Len(); n != 10 || !isServed(t, r, "10") || !isServed(t, r, "59") || r.tier.entries.Contains("p:app:11") {
					t.Errorf("got %d records, want the 10 used last", n)
				}
			})
		})
	}
}

// TestServes: configurations of the same Redis and prefix share records.
func TestServes(t *testing.T) {
	server := schema.Redis{Host: "r", Port: 1}
	sentinel := schema.Redis{SentinelMaster: "m", SentinelNodes: []schema.Node{{Host: "s", Port: 1}, {Host: "s", Port: 2}}}
	cluster := schema.Redis{ClusterNodes: []schema.ClusterNode{{IP: "r", Port: 1}, {IP: "r", Port: 2}}}
	for name, tt := range map[string]struct {
		cfg    schema.Redis
		change func(*schema.Redis)
		want   bool
	}{
		"server": {server, func(*schema.Redis) {}, true},
		"accounts and timeouts": {server, func(r *schema.Redis) {
			r.Username, r.Password, r.ReadTimeout, r.PoolSize, r.SSL, r.SSLCAFile = "u", "p", 5, 3, true, "/ca"
		}, true},
		"another host":         {server, func(r *schema.Redis) { r.Host = "s" }, false},
		"another port":         {server, func(r *schema.Redis) { r.Port = 2 }, false},
		"another database":     {server, func(r *schema.Redis) { r.Database = 1 }, false},
		"another name for TLS": {server, func(r *schema.Redis) { r.ServerName = "a" }, false},
		"sentinels":            {sentinel, func(r *schema.Redis) { r.SentinelPassword = "p" }, true},
		"another master":       {sentinel, func(r *schema.Redis) { r.SentinelMaster = "n" }, false},
		"other sentinels":      {sentinel, func(r *schema.Redis) { r.SentinelNodes = r.SentinelNodes[:1] }, false},
		"its database":         {sentinel, func(r *schema.Redis) { r.Database = 1 }, false},
		"cluster, other order": {cluster, func(r *schema.Redis) { slices.Reverse(r.ClusterNodes) }, true},
		"another cluster":      {cluster, func(r *schema.Redis) { r.ClusterNodes[1].Port = 3 }, false},
		"server and cluster":   {server, func(r *schema.Redis) { *r = cluster }, false},
	} {
		r := &Records{cfg: &schema.Config{Prefix: "p:", Redis: tt.cfg}}
		other := tt.cfg
		other.ClusterNodes = slices.Clone(other.ClusterNodes)
		tt.change(&other)
		if got := r.Serves(&schema.Config{Prefix: "p:", Redis: other}); got != tt.want {
			t.Errorf("%s: Serves() = %v, want %v", name, got, tt.want)
		}
		if r.Serves(&schema.Config{Prefix: "q:", Redis: other}) {
			t.Errorf("%s: Serves() = true with another prefix", name)
		}
	}
}

func TestWhere(t *testing.T) {
	for want, cfg := range map[string]schema.Redis{
		"redis at r:1": {Host: "r", Port: 1},
		"redis master m of the sentinels s:1, s:2": {SentinelMaster: "m", SentinelNodes: []schema.Node{{Host: "s", Port: 1}, {Host: "s", Port: 2}}},
		"redis cluster of r:1, r:2":                {ClusterNodes: []schema.ClusterNode{{IP: "r", Port: 1}, {IP: "r", Port: 2}}},
	} {
		if got := (&Records{cfg: &schema.Config{Redis: cfg}}).Where(); got != want {
			t.Errorf("Where() = %q, want %q", got, want)
		}
	}
}

// TestCopyEnds: lookups wait for the copy as long as they may, and Close ends it.
func TestCopyEnds(t *testing.T) {
	overScript(t, func(t *testing.T, from *Records, s *scripted) {
		expect(t, from, s, good, nil, 1)
		from.copied = make(chan struct{}) // its own copy still runs
		for _, done := range []bool{false, true} {
			r := New(from.cfg, from)
			if done {
				close(from.copied)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			got, err := r.Record(ctx, schema.Application, "a")
			cancel()
			if done != (err == nil && got["org_code"] == "org_a") || !done && !errors.Is(err, schema.ErrUnavailable) {
				t.Errorf("copied: %v; got %v, %v", done, got, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
	})
}

// TestCopyKeepsNothingAlive: the previous records can be freed after the copy.
func TestCopyKeepsNothingAlive(t *testing.T) {
	cfg := configAt(redistest.Start(t).Port(), withInvalidation)
	from := New(cfg, nil)
	r := New(cfg, from)
	defer r.Close()
	if err := from.Close(); err != nil {
		t.Error(err)
	}
	previous := weak.Make(from)
	from = nil
	await.True(t, "end of the previous records", func() bool { runtime.GC(); return previous.Value() == nil })
	runtime.KeepAlive(r)
}

// TestCopiedThenChanged: a change between the copy and the start of tracking is
// served.
func TestCopiedThenChanged(t *testing.T) {
	server := redistest.Start(t)
	cfg := configAt(server.Port(), withInvalidation)
	write(t, server, prefix+"app:a", "region", "eu")
	from := open(t, cfg)
	await.True(t, "tracking", func() bool { n, err := from.Tracked(t.Context()); return n == 1 && err == nil })
	wantRegion(t, from, "a", "eu")
	r := New(cfg, from)
	defer r.Close()
	<-r.copied
	write(t, server, prefix+"app:a", "region", "us")
	wantRegion(t, r, "a", "us")
}
