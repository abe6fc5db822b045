package cache

import (
	"errors"
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

// inCluster are the lookups in a cluster of which one node is named.
func inCluster(t *testing.T, c *redistest.Cluster, change func(map[string]any)) *Records {
	t.Helper()
	return lookups(t, c.Nodes()[0], func(given map[string]any) {
		m2m(given)
		redis := given["redis"].(map[string]any)
		delete(redis, "host")
		delete(redis, "port")
		var nodes []any
		for _, node := range c.Nodes() {
			nodes = append(nodes, map[string]any{"ip": "127.0.0.1", "port": float64(node.Port())})
		}
		redis["cluster_nodes"] = nodes
		if change != nil {
			change(given)
		}
	})
}

// spread names an application of each of the first masters.
func spread(t *testing.T, c *redistest.Cluster, masters int) []string {
	t.Helper()
	ids := make([]string, masters)
	for i, found := 0, 0; found < masters; i++ {
		id := fmt.Sprint("app", i)
		n := slices.Index(c.Nodes(), c.MasterOf(prefix+"app:"+id))
		if ids[n] == "" {
			ids[n] = id
			found++
		}
	}
	return ids
}

// TestClusterReshard moves a slot to and fro under traffic: no request notices.
func TestClusterReshard(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0, clusterReader...)
	r := inCluster(t, c, unhurriedRedis)
	ids := spread(t, c, 3)
	tr := driveWithin(t, unhurriedly, r, c.Client(), ids...)
	tr.require(func(a answer) error {
		if a.err != nil {
			return errors.New("a moved slot is noticed")
		}
		return nil
	})
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
	if _, err := r.Record(t.Context(), schema.Application, "absent"); !errors.Is(err, schema.ErrNoRecord) {
		t.Errorf("got %v", err)
	}
	if n, err := r.Count(t.Context(), 10); n != len(ids) || err != nil {
		t.Errorf("counted %d: %v", n, err)
	}
	closed(t, r, c.Nodes()...)
}

// TestClusterMasterDies under traffic. The other masters' records may be
// unavailable for as long as the pause after its death.
func TestClusterMasterDies(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 1, clusterReader...)
	r := inCluster(t, c, nil)
	ids := spread(t, c, 3)
	tr := drive(t, r, c.Client(), ids...)
	master := c.MasterOf(prefix + "app:" + ids[0])
	master.WaitReplicated()
	master.Stop()
	c.WaitReady()
	tr.back(c.Client(), time.Now())
	master.Restart()
	c.WaitReady()
	tr.recovers(c.Client(), c.Nodes()...)
}

// TestClusterWithoutAShard: while a master without a replica is away, not one
// lookup of the other masters' records is refused.
func TestClusterWithoutAShard(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		away func(*redistest.Cluster, *redistest.Server)
		pool float64
	}{
		"stopped": {func(_ *redistest.Cluster, dead *redistest.Server) { dead.Stop() }, 4},
		"silent":  {func(_ *redistest.Cluster, dead *redistest.Server) { dead.Pause() }, 4},
		// Somebody must be asked for what nobody has.
		"slotless": {func(c *redistest.Cluster, dead *redistest.Server) { unassign(t, c) }, 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := redistest.StartCluster(t, 3, 0, slices.Concat(clusterReader, []string{"--cluster-require-full-coverage", "no"})...)
			r := inCluster(t, c, func(given map[string]any) {
				unhurriedRedis(given)
				given["redis"].(map[string]any)["keepalive_pool_size"] = tt.pool
			})
			dead := c.Nodes()[0]
			healthy, lost := byMaster(t, c, dead, 20)
			tr := driveWithin(t, unhurriedly, r, c.Client(), healthy[:4]...)
			bad := driveWithin(t, unhurriedly, r, c.Client(), lost[:10]...)
			tr.require(func(a answer) error {
				if a.err != nil {
					return errors.New("refused, though its master serves")
				}
				return nil
			})
			tt.away(c, dead)
			bad.waitFor("failures", &bad.failed, 60)
			tr.waitFor("answers", &tr.served, 200)
			tr.stop()
			bad.stop()
			closed(t, r, c.Nodes()[1:]...)
		})
	}
}

// byMaster names n applications of the master, and n of the others.
func byMaster(t *testing.T, c *redistest.Cluster, master *redistest.Server, n int) (others, its []string) {
	t.Helper()
	for i := 0; len(others) < n || len(its) < n; i++ {
		id := fmt.Sprint("app", i)
		if c.MasterOf(prefix+"app:"+id) == master {
			its = append(its, id)
		} else {
			others = append(others, id)
		}
	}
	return others, its
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
