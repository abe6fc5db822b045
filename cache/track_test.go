package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// promptly is how soon a change must be served with cache.invalidation.
const promptly = 100 * time.Millisecond

// waitTracked waits until every master reports changes: those of servers and no
// others, if they are named.
func waitTracked(t *testing.T, r *Records, servers ...*redistest.Server) {
	t.Helper()
	await.Nil(t, func() error {
		r.tracker.mu.Lock()
		failures := maps.Clone(r.tracker.failures)
		r.tracker.mu.Unlock()
		for _, server := range servers {
			if _, known := failures[server.Addr()]; !known {
				return fmt.Errorf("%s isn't tracked", server.Addr())
			}
		}
		if n := len(failures) - 1; n < 1 || len(servers) > 0 && n != len(servers) { // one is about finding them
			return fmt.Errorf("%d masters are tracked", n)
		}
		return errors.Join(slices.Collect(maps.Values(failures))...)
	})
}

// changes are ways to change a record. Each leaves the region want, or no record.
var changes = map[string]struct {
	make func(ctx context.Context, client redis.Cmdable, key string) error
	want string
}{
	"a property": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.HSet(ctx, key, "region", "us").Err()
	}, "us"},
	"a property is deleted": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.HDel(ctx, key, "region").Err()
	}, ""},
	"the record is deleted": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.Del(ctx, key).Err()
	}, "none"},
	"the record expires": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.PExpire(ctx, key, 20*time.Millisecond).Err()
	}, "none"},
	"another type": {func(ctx context.Context, client redis.Cmdable, key string) error {
		return client.Set(ctx, key, "x", 0).Err()
	}, "invalid"},
}

// noticesChanges tries every change to the applications ids, and flushes them
// all.
func noticesChanges(t *testing.T, r *Records, client redis.UniversalClient, ids ...string) {
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
	for _, id := range ids { // an absence is cached, too
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
	r := lookups(t, server, asReader, withInvalidation)
	noticesChanges(t, r, server.Client(), "a", "b")
	closed(t, r, server)
}

// TestChangeIsServedAtOnce measures from a write to its being served.
func TestChangeIsServedAtOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	r := lookups(t, server, asReader, withInvalidation)
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
		t.Errorf("half of the changes were served after %v or more, want %v", took[20], promptly)
	}
}

func TestTrackingBySentinel(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, 3, tracking...)
	r := open(t, bySentinel(s, withInvalidation))
	noticesChanges(t, r, s.Client(), "a")
	write(t, s.Master(), prefix+"app:a", "region", "eu")
	serves(t, r, "a", "eu")
	old := s.Master()
	old.Stop()
	s.WaitForFailover(old)
	successor := s.Master()
	waitTracked(t, r, successor)
	write(t, successor, prefix+"app:a", "region", "us")
	serves(t, r, "a", "us")
	noticesChanges(t, r, successor.Client(), "a", "b")
	closed(t, r, s.Servers()[1])
}

func TestTrackingInCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 1, slices.Concat(clusterReader, []string{"+client|tracking", "+ping"})...)
	r := open(t, inCluster(c, withInvalidation))
	waitTracked(t, r, c.Nodes()[:3]...)
	ids := slices.Concat(applications(t, c, 3, 1)...)
	noticesChanges(t, r, c.Client(), ids...)

	for _, to := range c.Nodes()[1:3] {
		c.Reshard(c.Slot(prefix+"app:"+ids[0]), to)
		noticesChanges(t, r, c.Client(), ids...)
	}

	dead := c.Nodes()[2]
	dead.WaitReplicated()
	dead.Stop()
	c.WaitReady()
	waitTracked(t, r, c.Nodes()[0], c.Nodes()[1], c.MasterOf(prefix+"app:"+ids[2]))
	noticesChanges(t, r, c.Client(), ids...)
	closed(t, r, slices.DeleteFunc(c.Nodes(), func(s *redistest.Server) bool { return s == dead })...)
}

// TestNeighboursDontMix: the prefix of one tenant begins with that of another.
func TestNeighboursDontMix(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	prefixes := []string{"m2m:a:", "m2m:a:b:", "m2m:ab:"}
	var tenants []*Records
	for _, prefix := range prefixes {
		r := lookups(t, server, asReader, withInvalidation, func(c *schema.Config) { c.Prefix = prefix })
		waitTracked(t, r)
		tenants = append(tenants, r)
	}
	want := []string{"none", "none", "none"}
	for round := range 20 {
		for i, prefix := range prefixes {
			want[i] = fmt.Sprint(prefix, round)
			write(t, server, prefix+"app:x", "region", want[i])
			serves(t, tenants[i], "x", want[i])
			for j := range tenants {
				wantRegion(t, tenants[j], "x", want[j])
			}
		}
	}
	if err := server.Client().Del(t.Context(), "m2m:a:app:x").Err(); err != nil {
		t.Fatal(err)
	}
	serves(t, tenants[0], "x", "none")
	wantRegion(t, tenants[1], "x", want[1])
	wantRegion(t, tenants[2], "x", want[2])
}
