package redistest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// slots is how many hash slots a cluster has.
const slots = 16384

// clusterArgs make the nodes notice a death soon, and keep each replica at its
// master and ready to replace it however long ago they last spoke.
var clusterArgs = []string{
	"--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
	"--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no",
}

// replicationArgs let a replica synchronise at once, and tell soon that it is
// up to date, instead of after seconds.
var replicationArgs = []string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}

// Cluster is a Redis Cluster of one test. It ends with the test.
type Cluster struct {
	tb     testing.TB
	nodes  []*Server // the masters first
	ids    []string  // of nodes, in the cluster
	client *redis.ClusterClient
}

// StartCluster starts masters, which share the slots evenly, and
// replicas of each, all with args in addition, and waits until every node can
// serve. A failover needs three masters, because most of them must agree to it.
func StartCluster(tb testing.TB, masters, replicasPerMaster int, args ...string) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb}
	for range masters * (1 + replicasPerMaster) {
		node := &Server{tb: tb, bus: true, args: slices.Concat(plainArgs, replicationArgs, clusterArgs, args)}
		node.start()
		c.nodes = append(c.nodes, node)
	}
	c.assign(masters)
	c.join()
	c.replicate(masters)
	wait(tb, "form a cluster", c.settled)
	c.client = redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs(c.nodes)})
	tb.Cleanup(func() { _ = c.client.Close() })
	return c
}

// assign gives the masters their slots, and each its epoch, because masters with
// the same one would have to settle that first.
func (c *Cluster) assign(masters int) {
	c.tb.Helper()
	for i, node := range c.nodes {
		c.ids = append(c.ids, c.text(node, "cluster", "myid"))
		if i < masters {
			c.text(node, "cluster", "set-config-epoch", i+1)
			c.text(node, "cluster", "addslotsrange", i*slots/masters, (i+1)*slots/masters-1)
		}
	}
}

// join introduces every node to every other, which is faster than to wait until
// they hear of each other.
func (c *Cluster) join() {
	c.tb.Helper()
	for i, node := range c.nodes {
		for _, other := range c.nodes[:i] {
			c.text(node, "cluster", "meet", "127.0.0.1", other.Port(), other.ports.bus)
		}
	}
}

// replicate gives each replica its master as soon as it has met it.
func (c *Cluster) replicate(masters int) {
	c.tb.Helper()
	for i, node := range c.nodes[masters:] {
		wait(c.tb, "replicate a master", func(ctx context.Context) error {
			return node.client.ClusterReplicate(ctx, c.ids[i%masters]).Err()
		})
	}
}

// text runs an administrator's command that must succeed.
func (c *Cluster) text(node *Server, command ...any) string {
	c.tb.Helper()
	text, err := node.client.Do(context.Background(), command...).Text()
	if err != nil {
		c.tb.Fatalf("%v on %s: %v", command, node.Addr(), err)
	}
	return text
}

// Nodes are all nodes, the first masters first.
func (c *Cluster) Nodes() []*Server { return slices.Clone(c.nodes) }

// Client is an administrator's client.
func (c *Cluster) Client() *redis.ClusterClient { return c.client }

// Slot is the hash slot of key.
func (c *Cluster) Slot(key string) int {
	c.tb.Helper()
	slot, err := c.live()[0].client.ClusterKeySlot(context.Background(), key).Result()
	if err != nil {
		c.tb.Fatal(err)
	}
	return int(slot)
}

// MasterOf is the node that takes writes of key now.
func (c *Cluster) MasterOf(key string) *Server {
	c.tb.Helper()
	return c.owner(c.Slot(key))
}

// WaitReady waits until every slot has a master that runs, and all nodes that run
// know it. That takes some time after a Stop or a Restart.
func (c *Cluster) WaitReady() {
	c.tb.Helper()
	wait(c.tb, "form the cluster again", c.settled)
	c.client.ReloadState(context.Background())
}

func addrs(servers []*Server) []string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.Addr()
	}
	return all
}

// live are the nodes that are running.
func (c *Cluster) live() []*Server {
	c.tb.Helper()
	live := slices.DeleteFunc(c.Nodes(), func(s *Server) bool { return s.process == nil })
	if len(live) == 0 {
		c.tb.Fatal("every node of the cluster is stopped")
	}
	return live
}

// synchronised fails unless a replica has the data of its master.
func (s *Server) synchronised(ctx context.Context) error {
	info, err := s.client.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if strings.Contains(info, "role:slave\r\n") && !strings.Contains(info, "master_link_status:up\r\n") {
		return fmt.Errorf("%s isn't in sync with its master", s.Addr())
	}
	return nil
}

// offset is how much of its master's writes a server has. INFO has those of the
// replicas first, then its own.
var offset = regexp.MustCompile(`(?:master_repl_offset:|,offset=)(\d+)`)

// WaitReplicated waits until the server has a replica, and all of them have what
// was written to it so far by any connection. WAIT doesn't tell: it is about what
// its own connection wrote.
func (s *Server) WaitReplicated() {
	s.tb.Helper()
	written := 0
	wait(s.tb, "replicate what was written", func(ctx context.Context) error {
		info, err := s.client.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		var offsets []int
		for _, m := range offset.FindAllStringSubmatch(info, -1) {
			n, _ := strconv.Atoi(m[1]) // digits
			offsets = append(offsets, n)
		}
		replicas := offsets[:len(offsets)-1]
		if written == 0 {
			written = offsets[len(replicas)]
		}
		if len(replicas) == 0 || slices.Min(replicas) < written {
			return fmt.Errorf("the replicas of %s have %v of %d bytes", s.Addr(), replicas, written)
		}
		return nil
	})
}
