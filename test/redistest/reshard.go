package redistest

import (
	"context"
	"fmt"
	"strings"
)

// Reshard moves one slot with its keys to another master, while the cluster
// keeps serving, and waits until every node knows it.
func (c *Cluster) Reshard(slot int, to *Server) {
	c.tb.Helper()
	c.StartReshard(slot, to)()
}

// StartReshard moves the keys of one slot to another master and leaves the rest
// to finish: until then the old master answers -ASK for them. Where to has the
// slot already, nothing happens.
func (c *Cluster) StartReshard(slot int, to *Server) (finish func()) {
	c.tb.Helper()
	from := c.owner(slot)
	if from == to {
		return func() {}
	}
	c.text(to, "cluster", "setslot", slot, "importing", c.id(from))
	c.text(from, "cluster", "setslot", slot, "migrating", c.id(to))
	for c.migrate(slot, from, to) > 0 {
	}
	return func() {
		c.tb.Helper()
		// The new master first: it has to know that it is one before anybody is
		// sent there.
		c.text(to, "cluster", "setslot", slot, "node", c.id(to))
		c.text(from, "cluster", "setslot", slot, "node", c.id(to))
		wait(c.tb, "spread the news of a moved slot", func(ctx context.Context) error { return c.moved(ctx, slot, to) })
	}
}

// migrate moves some keys of slot and returns how many.
func (c *Cluster) migrate(slot int, from, to *Server) int {
	c.tb.Helper()
	ctx := context.Background()
	keys, err := from.client.ClusterGetKeysInSlot(ctx, slot, 100).Result()
	if err != nil {
		c.tb.Fatal(err)
	}
	if len(keys) == 0 {
		return 0
	}
	command := []any{"migrate", "127.0.0.1", to.Port(), "", 0, startTimeout.Milliseconds(), "keys"}
	for _, key := range keys {
		command = append(command, key)
	}
	c.text(from, command...)
	return len(keys)
}

// moved fails until every node knows that slot is at to.
func (c *Cluster) moved(ctx context.Context, slot int, to *Server) error {
	for _, node := range c.live() {
		owner, err := c.ownerSeenBy(ctx, node, slot)
		if err != nil {
			return err
		}
		if owner != to {
			return fmt.Errorf("%s looks for slot %d at %s", node.Addr(), slot, owner.Addr())
		}
	}
	return c.agreed(ctx)
}

// agreed fails until all nodes have heard of the latest epoch. A node that is
// behind would give the slot that it gets next an epoch that another one has:
// then the third never learns of it.
func (c *Cluster) agreed(ctx context.Context) error {
	first := ""
	for _, node := range c.live() {
		info, err := node.client.ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		_, epoch, _ := strings.Cut(info, "cluster_current_epoch:")
		epoch, _, _ = strings.Cut(epoch, "\r\n")
		if first == "" {
			first = epoch
		}
		if epoch != first {
			return fmt.Errorf("%s is at epoch %s, not %s", node.Addr(), epoch, first)
		}
	}
	return nil
}
