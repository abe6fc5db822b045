package redistest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/test/redistest"
)

// startCluster says how long it took, since every test of a cluster pays it.
func startCluster(t *testing.T, masters, replicas int, args ...string) *redistest.Cluster {
	t.Helper()
	start := time.Now()
	c := redistest.StartCluster(t, masters, replicas, args...)
	t.Logf("%d masters with %d replicas each: %v", masters, replicas, time.Since(start))
	return c
}

func TestClusterReshard(t *testing.T) {
	c := startCluster(t, 3, 0)
	key := "app:a"
	for i := range 250 {
		if err := c.Client().Set(t.Context(), fmt.Sprintf("{%s}:%d", key, i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	from := c.MasterOf(key)
	to := c.Nodes()[(slices.Index(c.Nodes(), from)+1)%3]
	moved := fmt.Sprintf("MOVED %d %s", c.Slot(key), from.Addr())
	if err := to.Client().Get(t.Context(), "{"+key+"}:7").Err(); !redis.HasErrorPrefix(err, moved) {
		t.Errorf("the wrong master says %v, not %s", err, moved)
	}
	finish := c.StartReshard(c.Slot(key), to)
	if err := from.Client().Get(t.Context(), "{"+key+"}:7").Err(); !redis.HasErrorPrefix(err, "ASK") {
		t.Errorf("while the slot moves, the old master says %v", err)
	}
	finish()
	if got := c.MasterOf(key); got != to {
		t.Errorf("%s has the slot, not %s", got.Addr(), to.Addr())
	}
	if n, err := to.Client().DBSize(t.Context()).Result(); n != 250 || err != nil {
		t.Errorf("%d keys moved, %v", n, err)
	}
	if got, err := c.Client().Get(t.Context(), "{"+key+"}:7").Result(); got != "7" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	c.Reshard(c.Slot(key), from)
	if got, err := from.Client().Get(t.Context(), "{"+key+"}:7").Result(); got != "7" || err != nil {
		t.Errorf("after the way back: got %q, %v", got, err)
	}
}

func TestClusterFailover(t *testing.T) {
	c := startCluster(t, 3, 1, "--requirepass", "secret")
	key := "app:a"
	if err := c.Client().Set(t.Context(), key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	master := c.MasterOf(key)
	master.WaitReplicated()
	start := time.Now()
	master.Stop()
	c.WaitForFailover(master)
	t.Logf("failover: %v", time.Since(start))
	heir := c.MasterOf(key)
	if heir == master {
		t.Fatal("the dead master has the slot")
	}
	if got, err := heir.Client().Get(t.Context(), key).Result(); got != "v" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := c.Client().Get(t.Context(), key).Result(); got != "v" || err != nil {
		t.Errorf("through the cluster: got %q, %v", got, err)
	}
	start = time.Now()
	master.Restart()
	c.WaitReady()
	t.Logf("return: %v", time.Since(start))
	if got := c.MasterOf(key); got != heir {
		t.Errorf("%s has the slot, not %s", got.Addr(), heir.Addr())
	}
}

func TestClusterPausedMaster(t *testing.T) {
	c := startCluster(t, 3, 1)
	master := c.MasterOf("app:a")
	master.Pause()
	c.WaitForFailover(master)
	master.Resume()
	c.WaitReady()
	if c.MasterOf("app:a") == master {
		t.Error("the paused master has the slot again")
	}
}

func TestClusterNodeLoading(t *testing.T) {
	c := startCluster(t, 3, 0)
	key := "app:a"
	if err := c.Client().Set(t.Context(), key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	master := c.MasterOf(key)
	master.RestartLoading(300 * time.Millisecond)
	if err := master.Client().Get(t.Context(), key).Err(); !redis.HasErrorPrefix(err, "CLUSTERDOWN") {
		t.Errorf("while it loads, to a command with a key: %v", err)
	}
	if err := master.Client().Keys(t.Context(), "*").Err(); !redis.HasErrorPrefix(err, "LOADING") {
		t.Errorf("while it loads: %v", err)
	}
	master.WaitLoaded()
	c.WaitReady()
	if got, err := c.Client().Get(t.Context(), key).Result(); got != "v" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
