package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// promptly is how soon a change must be served with cache.invalidation.
const promptly = 100 * time.Millisecond

// told makes a long ttl harmless: Redis tells of changes.
func told(c map[string]any) {
	c["cache"] = map[string]any{"ttl": 3600.0, "negative_ttl": 3600.0, "invalidation": true}
}

// waitTracked waits until every master tells of changes.
func waitTracked(t *testing.T, r *Records) {
	t.Helper()
	eventually(t, "tracks changes", func() bool {
		r.tracker.mu.Lock()
		defer r.tracker.mu.Unlock()
		for where, err := range r.tracker.failures {
			if err != nil {
				return false
			}
			_ = where
		}
		return len(r.tracker.failures) > 1
	})
}

func region(t *testing.T, r *Records, id string) string {
	t.Helper()
	record, err := r.Record(t.Context(), schema.Application, id)
	if err != nil {
		return err.Error()
	}
	return record["region"]
}

// tracking is the reader, with what it needs to be told of changes.
var tracking = slices.Concat(reader, []string{"+client|tracking", "+ping"})

// toldAs are lookups of the reader that are told of changes.
func toldAs(c map[string]any) { m2m(c); told(c) }

// changes are ways to change a record that Redis must tell of. Each leaves the
// region that is wanted, or no record.
var changes = map[string]struct {
	make func(ctx context.Context, client redis.Cmdable, key string) error
	want string
}{
	"a property": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.HSet(ctx, key, "region", "us").Err()
	}, "us"},
	"a property goes": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.HDel(ctx, key, "region").Err()
	}, ""},
	"the record goes": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.Del(ctx, key).Err()
	}, "none"},
	"the record expires": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.PExpire(ctx, key, 20*time.Millisecond).Err()
	}, "none"},
	"another type": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.Set(ctx, key, "x", 0).Err()
	}, "invalid"},
}

// held is the region that r serves of id, or what it is instead of a record.
func held(t *testing.T, r *Records, id string) string {
	t.Helper()
	record, err := r.Record(t.Context(), schema.Application, id)
	switch {
	case errors.Is(err, schema.ErrNoRecord):
		return "none"
	case errors.Is(err, schema.ErrInvalidRecord):
		return "invalid"
	case err != nil:
		return err.Error()
	}
	return record["region"]
}

// serves waits until r serves want, which it must at once and not after ttl.
func serves(t *testing.T, r *Records, id, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s of %s", want, id), func() bool { return held(t, r, id) == want })
}

// tellsOfChanges tries every change to the applications ids, and what flushes
// all of them.
func tellsOfChanges(t *testing.T, r *Records, client redis.UniversalClient, ids ...string) {
	t.Helper()
	waitTracked(t, r)
	ctx := t.Context()
	for name, change := range changes {
		for _, id := range ids {
			key := prefix + "app:" + id
			if err := errors.Join(client.Del(ctx, key).Err(), client.HSet(ctx, key, "region", "eu", "org_code", "o").Err()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			serves(t, r, id, "eu")
			if err := change.make(ctx, client, key); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			serves(t, r, id, change.want)
		}
	}
	for _, id := range ids { // an absence is held, too
		if err := client.Del(ctx, prefix+"app:"+id).Err(); err != nil {
			t.Fatal(err)
		}
		serves(t, r, id, "none")
		if err := client.HSet(ctx, prefix+"app:"+id, "region", "eu").Err(); err != nil {
			t.Fatal(err)
		}
		serves(t, r, id, "eu")
	}
	if err := flush(ctx, client); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		serves(t, r, id, "none")
	}
}

func flush(ctx context.Context, client redis.UniversalClient) error {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return master.FlushDB(ctx).Err() })
	}
	return client.FlushDB(ctx).Err()
}

func TestTracking(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	r := lookups(t, server, toldAs)
	tellsOfChanges(t, r, server.Client(), "a", "b")
	closed(t, r, server)
}

// TestChangeIsServedAtOnce measures from a write to its being served.
func TestChangeIsServedAtOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	r := lookups(t, server, toldAs)
	write(t, server, prefix+"app:a", "region", "eu")
	waitTracked(t, r)
	var took []time.Duration
	for i := range 41 {
		want := fmt.Sprint(i)
		begin := time.Now()
		write(t, server, prefix+"app:a", "region", want)
		serves(t, r, "a", want)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	t.Logf("median %v, at most %v", took[20], took[40])
	if took[20] > promptly {
		t.Errorf("half of the changes were served after %v and more", took[20])
	}
}

func TestTrackingBySentinel(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, 3, tracking...)
	r := bySentinel(t, s, told)
	tellsOfChanges(t, r, s.Client(), "a")
	write(t, s.Master(), prefix+"app:a", "region", "eu")
	serves(t, r, "a", "eu")
	old := s.Master()
	old.Stop()
	s.WaitForFailover(old)
	heir := s.Master()
	waitFollowed(t, r, heir)
	write(t, heir, prefix+"app:a", "region", "us")
	serves(t, r, "a", "us")
	tellsOfChanges(t, r, heir.Client(), "a", "b")
	closed(t, r, s.Servers()[1])
}

// waitFollowed waits until every one of servers tells r of changes, and nobody
// else is asked to.
func waitFollowed(t *testing.T, r *Records, servers ...*redistest.Server) {
	t.Helper()
	eventually(t, "tracking of the masters", func() bool {
		r.tracker.mu.Lock()
		defer r.tracker.mu.Unlock()
		for _, server := range servers {
			if err, known := r.tracker.failures[server.Addr()]; !known || err != nil {
				return false
			}
		}
		return len(r.tracker.failures) == len(servers)+1 && r.tracker.failures[""] == nil
	})
}

func TestTrackingInCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 1, slices.Concat(clusterReader, []string{"+client|tracking", "+ping"})...)
	r := inCluster(t, c, told)
	waitFollowed(t, r, c.Nodes()[:3]...)
	ids := spread(t, c, 3)
	tellsOfChanges(t, r, c.Client(), ids...)

	for _, to := range c.Nodes()[1:3] {
		c.Reshard(c.Slot(prefix+"app:"+ids[0]), to)
		tellsOfChanges(t, r, c.Client(), ids...)
	}

	dead := c.Nodes()[2]
	if n, err := dead.Client().Wait(t.Context(), 1, time.Second).Result(); n != 1 || err != nil {
		t.Fatalf("%d replicas are in sync: %v", n, err)
	}
	dead.Stop()
	c.WaitForFailover(dead)
	waitFollowed(t, r, c.Nodes()[0], c.Nodes()[1], c.MasterOf(prefix+"app:"+ids[2]))
	tellsOfChanges(t, r, c.Client(), ids...)
	closed(t, r, slices.DeleteFunc(c.Nodes(), func(s *redistest.Server) bool { return s == dead })...)
}

// TestNeighboursDontMix: two tenants of which one's prefix begins with the
// other's.
func TestNeighboursDontMix(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	prefixes := []string{"m2m:a:", "m2m:a:b:", "m2m:ab:"}
	var tenants []*Records
	for _, prefix := range prefixes {
		r := lookups(t, server, func(c map[string]any) { toldAs(c); c["prefix"] = prefix })
		waitTracked(t, r)
		tenants = append(tenants, r)
	}
	for round := range 20 {
		for i, prefix := range prefixes {
			write(t, server, prefix+"app:x", "region", fmt.Sprint(prefix, round))
			serves(t, tenants[i], "x", fmt.Sprint(prefix, round))
			for j, other := range prefixes {
				want := fmt.Sprint(other, round)
				if j > i {
					want = fmt.Sprint(other, round-1)
				}
				if got := held(t, tenants[j], "x"); got != want && round > 0 {
					t.Errorf("%s has %s after a change of %s", other, got, prefix)
				}
			}
		}
	}
	if n := server.Client().Del(t.Context(), "m2m:a:app:x").Val(); n != 1 {
		t.Fatalf("deleted %d", n)
	}
	serves(t, tenants[0], "x", "none")
	for i := 1; i < len(prefixes); i++ {
		if got := held(t, tenants[i], "x"); got != prefixes[i]+"19" {
			t.Errorf("%s has %s", prefixes[i], got)
		}
	}
}

// losses are ways to lose the connection that tells of changes.
var losses = map[string]func(t *testing.T, server *redistest.Server, proxy *redistest.Proxy){
	"killed": func(t *testing.T, server *redistest.Server, proxy *redistest.Proxy) {
		proxy.Refuse()
		if err := server.Client().Do(t.Context(), "client", "kill", "user", "m2m").Err(); err != nil {
			t.Fatal(err)
		}
	},
	"dropped":    func(_ *testing.T, _ *redistest.Server, proxy *redistest.Proxy) { proxy.Refuse(); proxy.Drop() },
	"cut":        func(_ *testing.T, _ *redistest.Server, proxy *redistest.Proxy) { proxy.Cut() },
	"held":       func(_ *testing.T, _ *redistest.Server, proxy *redistest.Proxy) { proxy.Hold() },
	"no answers": func(_ *testing.T, _ *redistest.Server, proxy *redistest.Proxy) { proxy.Delay(time.Hour) },
}

// TestLostTracking: a change that Redis couldn't tell of is served as soon as it
// can be asked again; meanwhile what is held may stand in.
func TestLostTracking(t *testing.T) {
	t.Parallel()
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, tracking...)
			r, proxy := throughProxy(t, server, told)
			for _, id := range []string{"a", "b"} {
				write(t, server, prefix+"app:"+id, "region", "eu")
			}
			waitTracked(t, r)
			serves(t, r, "a", "eu")
			serves(t, r, "b", "eu")
			serves(t, r, "absent", "none")
			lose(t, server, proxy)
			eventually(t, "word of the loss", func() bool { return r.tracker.trouble() != nil })
			write(t, server, prefix+"app:a", "region", "us")
			write(t, server, prefix+"app:absent", "region", "us")
			if got := held(t, r, "a"); got != "eu" {
				t.Errorf("while Redis is silent: %s", got)
			}
			if _, err := r.Record(t.Context(), schema.Application, "absent"); !errors.Is(err, schema.ErrUnavailable) {
				t.Errorf("a doubtful absence answers an outage: %v", err)
			}
			proxy.Pass()
			serves(t, r, "a", "us")
			serves(t, r, "absent", "us")
			waitTracked(t, r)
			write(t, server, prefix+"app:b", "region", "us")
			serves(t, r, "b", "us")
		})
	}
}

// TestKilledTracking: only the connection that tells of changes is lost, while
// lookups go on. What they fetch meanwhile is asked again later.
func TestKilledTracking(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	r, proxy := throughProxy(t, server, told)
	write(t, server, prefix+"app:a", "region", "eu")
	waitTracked(t, r)
	serves(t, r, "a", "eu")
	proxy.Handle(func(command []string) (string, bool) { // no other one
		return "-ERR not now\r\n", strings.EqualFold(command[0], "client")
	})
	killTracking(t, server)
	eventually(t, "word of the loss", func() bool { return r.tracker.trouble() != nil })
	serves(t, r, "a", "eu")
	write(t, server, prefix+"app:a", "region", "us")
	proxy.Handle(nil)
	serves(t, r, "a", "us")
	waitTracked(t, r)
	write(t, server, prefix+"app:a", "region", "asia")
	serves(t, r, "a", "asia")
}

// killTracking ends the connections that Redis tells of changes.
func killTracking(t *testing.T, server *redistest.Server) {
	t.Helper()
	clients, err := server.Client().ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, line := range strings.Split(clients, "\n") {
		id, rest, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		if _, flags, _ := strings.Cut(rest, " flags="); !strings.ContainsAny(strings.SplitN(flags, " ", 2)[0], "B") {
			continue
		}
		if err := server.Client().ClientKillByFilter(t.Context(), "id", id).Err(); err != nil {
			t.Fatal(err)
		}
		killed++
	}
	if killed != 1 {
		t.Fatalf("killed %d connections", killed)
	}
}

// TestChangeDuringFetch: an answer from before a change doesn't outlive it.
func TestChangeDuringFetch(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	r, proxy := throughProxy(t, server, func(c map[string]any) { told(c); c["redis"].(map[string]any)["timeout"] = 20_000.0 })
	write(t, server, prefix+"app:a", "org_code", "o", "region", "eu")
	waitTracked(t, r)
	asked, release := make(chan struct{}), make(chan struct{})
	var later atomic.Bool
	proxy.Handle(func(command []string) (string, bool) {
		if !strings.EqualFold(command[0], "hmget") || later.Swap(true) {
			return "", false
		}
		close(asked)
		<-release
		// What Redis would have said when it was asked, for each field.
		fields := len(command) - 2
		return fmt.Sprintf("*%d\r\n%s", fields, strings.Repeat("$2\r\neu\r\n", fields)), true
	})
	var early sync.WaitGroup
	early.Go(func() {
		if got := held(t, r, "a"); got != "eu" {
			t.Errorf("who asked before the change got %s", got)
		}
	})
	<-asked
	write(t, server, prefix+"app:a", "region", "us")
	eventually(t, "word of the change", func() bool {
		r.tier.mu.Lock()
		defer r.tier.mu.Unlock()
		return len(r.tier.flights) == 0
	})
	if got := held(t, r, "a"); got != "us" { // doesn't wait for the older one
		t.Errorf("who asked after the change got %s", got)
	}
	close(release)
	early.Wait()
	if got := held(t, r, "a"); got != "us" {
		t.Errorf("after the older answer: %s", got)
	}
}

// TestChangedIsNeverServed: once Redis told of a change, the record from before
// is good for nothing but to refuse a token, however young it is.
func TestChangedIsNeverServed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	r, proxy := throughProxy(t, server, told)
	write(t, server, prefix+"app:a", "region", "eu")
	waitTracked(t, r)
	serves(t, r, "a", "eu")
	proxy.Handle(func(command []string) (string, bool) {
		return "-LOADING\r\n", strings.EqualFold(command[0], "hmget")
	})
	write(t, server, prefix+"app:a", "region", "us")
	eventually(t, "outage", func() bool {
		record, err := r.Record(t.Context(), schema.Application, "a")
		if err != nil && (!errors.Is(err, schema.ErrUnavailable) || record["region"] != "eu") {
			t.Errorf("got %v, %v", record, err)
		}
		return err != nil
	})
	for range 100 {
		if _, err := r.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) {
			t.Fatalf("the changed record is served: %v", err)
		}
	}
	proxy.Handle(nil)
	serves(t, r, "a", "us")
}

// TestTrackingRefused: without word of changes the lookups go on, with ttl, and
// say so once.
func TestTrackingRefused(t *testing.T) {
	t.Parallel()
	allowed := redistest.Start(t, tracking...)
	for name, c := range map[string]struct {
		server  *redistest.Server
		handler redistest.Handler
		says    string
	}{
		"right":   {redistest.Start(t, reader...), nil, "NOPERM"},
		"command": {redistest.Start(t, append([]string{"--rename-command", "CLIENT", ""}, reader...)...), nil, "unknown command"},
		"RESP3": {allowed, func(command []string) (string, bool) {
			return "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `m2m`, `p4ssw0rd`\r\n", strings.EqualFold(command[0], "hello")
		}, "RESP3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, proxy := throughProxy(t, c.server, told)
			var asked, tried atomic.Int64
			proxy.Handle(func(command []string) (string, bool) {
				switch strings.ToLower(command[0]) {
				case "hmget":
					asked.Add(1)
				case "hello":
					tried.Add(1)
				}
				if c.handler == nil {
					return "", false
				}
				return c.handler(command)
			})
			proxy.Drop() // so that the connections are set up again
			write(t, c.server, prefix+"app:"+name, "region", "eu")
			var warning error
			skip := skipping(r)
			eventually(t, "warning", func() bool { // the first may tell of the connections that ended
				skip(warnAnother)
				warning = r.Warning()
				return warning != nil && strings.Contains(warning.Error(), c.says)
			})
			if text := warning.Error(); !strings.Contains(text, "3600 s") || strings.Contains(text, "p4ssw0rd") {
				t.Errorf("the warning is %q", text)
			}
			if again := r.Warning(); again != nil {
				t.Errorf("again: %v", again)
			}
			serves(t, r, name, "eu")
			asked.Store(0)
			before := tried.Load()
			eventually(t, "second try", func() bool { return tried.Load() >= before+2 })
			for range 10 {
				if got := held(t, r, name); got != "eu" {
					t.Errorf("got %s", got)
				}
			}
			if n := asked.Load(); n > 0 {
				t.Errorf("asked %d times within the ttl", n)
			}
			if again := r.Warning(); again != nil {
				t.Errorf("again: %v", again)
			}
		})
	}
}

// TestWarnings: a trouble is told of once and then every hour, one that comes
// again after a minute at the earliest.
func TestWarnings(t *testing.T) {
	tr := newTracker(configAt(t, 1, told), newTier(1, 1))
	now := time.Now()
	expect := func(what string, warned bool) {
		t.Helper()
		if err := tr.warn(now); (err != nil) != warned {
			t.Errorf("%s: %v", what, err)
		}
	}
	expect("no trouble", false)
	tr.report("a", errors.New("lost"))
	expect("the first time", true)
	expect("it lasts", false)
	tr.report("a", errors.New("lost again"))
	expect("it lasts for another reason", false)
	tr.report("a", errors.New("lost"))
	now = now.Add(warnAgain - 1)
	expect("it lasts for less than an hour", false)
	now = now.Add(1)
	expect("it lasts for an hour", true)
	tr.report("a", nil)
	expect("it is over", false)
	tr.report("a", errors.New("lost"))
	now = now.Add(warnAnother - 1)
	expect("it came again at once", false)
	now = now.Add(1)
	expect("it came again", true)
}
