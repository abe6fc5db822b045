package cache

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// clusterReader is the reader, who finds the nodes too, and follows a slot that
// moves.
var clusterReader = slices.Concat(reader, []string{"+cluster|slots", "+asking"})

// inCluster are the configuration for the nodes of a cluster.
func inCluster(c *redistest.Cluster, options ...option) *schema.Config {
	return configAt(0, append([]option{asReader, func(cfg *schema.Config) {
		for _, node := range c.Nodes() {
			cfg.Redis.ClusterNodes = append(cfg.Redis.ClusterNodes, schema.ClusterNode{IP: "127.0.0.1", Port: node.Port()})
		}
	}}, options...)...)
}

// applications names n applications of each of the first masters.
func applications(t *testing.T, c *redistest.Cluster, masters, n int) [][]string {
	t.Helper()
	of := make([][]string, masters)
	for i, missing := 0, masters*n; missing > 0; i++ {
		id := fmt.Sprint("app", i)
		if m := slices.Index(c.Nodes(), c.MasterOf(prefix+"app:"+id)); len(of[m]) < n {
			of[m] = append(of[m], id)
			missing--
		}
	}
	return of
}

// TestClusterReshard moves a slot to and fro under traffic: no request notices.
func TestClusterReshard(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0, clusterReader...)
	r := open(t, inCluster(c, unhurriedRedis))
	ids := slices.Concat(applications(t, c, 3, 1)...)
	tr := driveWithin(t, unhurriedly, r, c.Client(), ids...)
	tr.require(served)
	slot := c.Slot(prefix + "app:" + ids[0])
	for _, to := range []*redistest.Server{c.Nodes()[1], c.Nodes()[2], c.Nodes()[0]} {
		finish := c.StartReshard(slot, to)
		tr.waitFor("answers by -ASK", &tr.served, 100)
		finish()
		tr.put(c.Client())
		tr.waitFor("answers by -MOVED", &tr.served, 100)
	}
	tr.back(c.Client(), time.Now())
	tr.stop()
	wantRegion(t, r, "absent", "none")
	if n, err := r.Count(t.Context(), 10); n != len(ids) || err != nil {
		t.Errorf("Count(10) = %d, %v, want %d", n, err, len(ids))
	}
	closed(t, r, c.Nodes()...)
}

// TestClusterMasterDies under traffic. The other masters' records may be
// unavailable for as long as the pause after its death.
func TestClusterMasterDies(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 1, clusterReader...)
	ids := slices.Concat(applications(t, c, 3, 1)...)
	tr := drive(t, open(t, inCluster(c)), c.Client(), ids...)
	master := c.MasterOf(prefix + "app:" + ids[0])
	master.WaitReplicated()
	master.Stop()
	c.WaitReady()
	tr.back(c.Client(), time.Now())
	master.Restart()
	c.WaitReady()
	tr.recovers(c.Client(), c.Nodes()...)
}

// TestClusterWithoutAShard: while a master without a replica is down, not one
// lookup of the other masters' records fails.
func TestClusterWithoutAShard(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		down func(*redistest.Cluster)
		pool int
	}{
		"stopped": {func(c *redistest.Cluster) { c.Nodes()[0].Stop() }, 4},
		"silent":  {func(c *redistest.Cluster) { c.Nodes()[0].Pause() }, 4},
		// Some node must be asked for the keys that none has.
		"slotless": {func(c *redistest.Cluster) { unassign(t, c) }, 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := redistest.StartCluster(t, 3, 0, slices.Concat(clusterReader, []string{"--cluster-require-full-coverage", "no"})...)
			r := open(t, inCluster(c, unhurriedRedis, pool(tt.pool)))
			ids := applications(t, c, 3, 10)
			tr := driveWithin(t, unhurriedly, r, c.Client(), ids[1][0], ids[1][1], ids[2][0], ids[2][1])
			lost := driveWithin(t, unhurriedly, r, c.Client(), ids[0]...)
			tr.require(served)
			tt.down(c)
			lost.waitFor("failures", &lost.failed, 60)
			tr.waitFor("answers", &tr.served, 200)
			tr.stop()
			lost.stop()
			closed(t, r, c.Nodes()[1:]...)
		})
	}
}

// unassign takes the slots of the first of three masters from it.
func unassign(t *testing.T, c *redistest.Cluster) {
	t.Helper()
	for _, node := range c.Nodes() {
		if err := node.Client().ClusterDelSlotsRange(t.Context(), 0, 16384/3-1).Err(); err != nil {
			t.Fatal(err)
		}
	}
}
