package redistest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// settled tells what keeps the cluster from serving, if anything does.
func (c *Cluster) settled(ctx context.Context) error { return c.settledWithout(ctx, nil) }

// settledWithout asks every node that runs, but not dead, for how it sees the
// cluster: nodes learn of each other's changes at different times.
func (c *Cluster) settledWithout(ctx context.Context, dead *Server) error {
	for _, node := range c.live() {
		if node == dead {
			continue
		}
		if err := c.ready(ctx, node, dead); err != nil {
			return fmt.Errorf("%s: %w", node.Addr(), err)
		}
	}
	return nil
}

func (c *Cluster) ready(ctx context.Context, node, dead *Server) error {
	info, err := node.client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, "cluster_state:ok\r\n") {
		return fmt.Errorf("not ready:\n%s", info)
	}
	if err := node.synchronised(ctx); err != nil {
		return err
	}
	shards, err := node.client.ClusterShards(ctx).Result()
	if err != nil {
		return err
	}
	return c.complete(shards, dead)
}

// complete tells what shards lack: a live master for every slot, and as many
// replicas in sync as are alive.
func (c *Cluster) complete(shards []redis.ClusterShard, dead *Server) error {
	covered, online := 0, 0
	for _, shard := range shards {
		for _, r := range shard.Slots {
			covered += int(r.End - r.Start + 1)
		}
		if master := c.masterIn(shard); len(shard.Slots) > 0 && (master == nil || master == dead) {
			return fmt.Errorf("no master has the slots %v", shard.Slots)
		}
		for _, n := range shard.Nodes {
			if n.Health == "online" && c.node(n.ID) != dead {
				online++
			}
		}
	}
	want := len(c.live())
	if dead != nil && dead.process != nil {
		want-- // it is only paused
	}
	if covered != slots || online != want {
		return fmt.Errorf("%d slots have a master and %d of %d nodes are online", covered, online, want)
	}
	return nil
}

// owner is the master of slot, as the first node sees it.
func (c *Cluster) owner(slot int) *Server {
	c.tb.Helper()
	owner, err := c.ownerSeenBy(context.Background(), c.live()[0], slot)
	if err != nil {
		c.tb.Fatal(err)
	}
	return owner
}

func (c *Cluster) ownerSeenBy(ctx context.Context, node *Server, slot int) (*Server, error) {
	shards, err := node.client.ClusterShards(ctx).Result()
	if err != nil {
		return nil, err
	}
	for _, shard := range shards {
		has := func(r redis.SlotRange) bool { return r.Start <= int64(slot) && int64(slot) <= r.End }
		if master := c.masterIn(shard); master != nil && slices.ContainsFunc(shard.Slots, has) {
			return master, nil
		}
	}
	return nil, fmt.Errorf("slot %d has no master", slot)
}

func (c *Cluster) masterIn(shard redis.ClusterShard) *Server {
	for _, n := range shard.Nodes {
		if n.Role == "master" {
			return c.node(n.ID)
		}
	}
	return nil
}

func (c *Cluster) node(id string) *Server {
	if i := slices.Index(c.ids, id); i >= 0 {
		return c.nodes[i]
	}
	return nil
}

func (c *Cluster) id(node *Server) string { return c.ids[slices.Index(c.nodes, node)] }
