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
	r := inCluster(t, c, nil)
	ids := spread(t, c, 3)
	tr := drive(t, r, c.Client(), ids...)
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
	waitReplicated(t, master)
	master.Stop()
	c.WaitForFailover(master)
	tr.back(c.Client(), time.Now())
	master.Restart()
	c.WaitReady()
	tr.recovers(c.Client(), c.Nodes()...)
}
