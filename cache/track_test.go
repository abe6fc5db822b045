package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/test/await"
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
	await.True(t, "tracks changes", func() bool {
		r.tracker.mu.Lock()
		defer r.tracker.mu.Unlock()
		for _, err := range r.tracker.failures {
			if err != nil {
				return false
			}
		}
		return len(r.tracker.failures) > 1
	})
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

// serves waits until r serves want, which it must at once and not after ttl.
func serves(t *testing.T, r *Records, id, want string) {
	t.Helper()
	await.True(t, fmt.Sprintf("%s of %s", want, id), func() bool { return region(t, r, id) == want })
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
	await.True(t, "tracking of the masters", func() bool {
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
	dead.WaitReplicated()
	dead.Stop()
	c.WaitReady()
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
				if got := region(t, tenants[j], "x"); got != want && round > 0 {
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
		if got := region(t, tenants[i], "x"); got != prefixes[i]+"19" {
			t.Errorf("%s has %s", prefixes[i], got)
		}
	}
}
