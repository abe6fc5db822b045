package connect

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
)

// stateAge is how old a client's view of a cluster may become while it is used.
// The driver's default is a minute, and the death of a master doesn't make it
// look again: until then it would look for the slots where they were. A second
// is no more than a pause after failures, so the first try after one sees the new
// master.
const stateAge = time.Second

// never is the reload interval of a client that reloads only when [Owners] says so.
const never = 1 << 40 * time.Millisecond

// Owners knows which server of a cluster has a key, without asking. Safe for
// concurrent use.
type Owners struct {
	cluster *redis.ClusterClient // nil unless it is a cluster

	mu       sync.Mutex
	reloaded time.Time
}

// OpenWithOwners is Open, but the client reloads its view of a cluster only by
// Owners.Reload. The driver would do so whenever it is asked for a key's server:
// each request would ask a cluster that is down.
func OpenWithOwners(cfg schema.Redis) (redis.UniversalClient, *Owners) {
	if len(cfg.ClusterNodes) == 0 {
		return Open(cfg), &Owners{}
	}
	cluster := openCluster(cfg, never)
	return cluster, &Owners{cluster: cluster}
}

// Of returns the host:port of the server that has key, "" if there is only one or
// if the cluster hasn't been seen yet.
func (o *Owners) Of(key string) string {
	if o.cluster == nil {
		return ""
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // so the driver answers from what it knows, without asking
	master, err := o.cluster.MasterForKey(ctx, key)
	if err != nil {
		return ""
	}
	return master.Options().Addr
}

// Reload renews the view of the cluster in the background if it is a second old
// or if a server failed.
func (o *Owners) Reload(failed bool) {
	if o.cluster == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); failed || now.Sub(o.reloaded) >= stateAge {
		o.reloaded = now
		o.cluster.ReloadState(context.Background())
	}
}
