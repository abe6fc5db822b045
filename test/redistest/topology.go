package redistest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// settled fails until every node that runs serves and sees the same of the
// others: nodes learn of changes at different times.
func (c *Cluster) settled(ctx context.Context) error {
	for _, node := range c.live() {
		if err := c.ready(ctx, node); err != nil {
			return fmt.Errorf("%s: %w", node.Addr(), err)
		}
	}
	return nil
}

func (c *Cluster) ready(ctx context.Context, node *Server) error {
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
	return c.complete(shards)
}

// complete fails unless every slot has a master that runs, and all nodes that
// run are online.
func (c *Cluster) complete(shards []redis.ClusterShard) error {
	covered, online := 0, 0
	for _, shard := range shards {
		master := c.masterIn(shard)
		for _, r := range shard.Slots {
			if master != nil && master.process != nil {
				covered += int(r.End - r.Start + 1)
			}
		}
		for _, n := range shard.Nodes {
			if n.Health == "online" && c.node(n.ID).process != nil {
				online++
			}
		}
	}
	if want := len(c.live()); covered != slots || online != want {
		return fmt.Errorf("%d of %d slots have a master and %d of %d nodes are online", covered, slots, online, want)
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
