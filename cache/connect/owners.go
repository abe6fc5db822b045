package connect

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
)

// stateAge is how old a client's picture of a cluster may become while it is
// used. The driver's is a minute, and a master that died isn't a reason for it to
// look again: until then it would look for its slots where it was. It is no more
// than a pause, so that the first try after one sees who replaced it.
const stateAge = time.Second

// neverLooks is the same for a client that looks only when [Owners] says so.
const neverLooks = 1 << 40 * time.Millisecond

// Owners knows which server of a cluster has a key, without asking. Safe for
// concurrent use.
type Owners struct {
	cluster *redis.ClusterClient // nil unless it is one

	mu     sync.Mutex
	looked time.Time
}

// OpenWithOwners is Open. The client renews its picture of a cluster only by
// Owners.Look, because the driver would do so whenever it is asked for a key's
// server: a cluster that is down would be asked by every request.
func OpenWithOwners(cfg schema.Redis) (redis.UniversalClient, *Owners) {
	if len(cfg.ClusterNodes) == 0 {
		return Open(cfg), &Owners{}
	}
	opts := clusterOptions(cfg)
	opts.ClusterStateReloadInterval = neverLooks
	cluster := redis.NewClusterClient(opts)
	return cluster, &Owners{cluster: cluster}
}

// Of returns the host:port of the server that has key; "" if there is only one,
// or if the cluster hasn't been seen yet.
func (o *Owners) Of(key string) string {
	if o.cluster == nil {
		return ""
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // what isn't known isn't asked for
	master, err := o.cluster.MasterForKey(ctx, key)
	if err != nil {
		return ""
	}
	return master.Options().Addr
}

// Look renews the picture of the cluster in the background, if it is a second
// old or if a server failed.
func (o *Owners) Look(failed bool) {
	if o.cluster == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); failed || now.Sub(o.looked) >= stateAge {
		o.looked = now
		o.cluster.ReloadState(context.Background())
	}
}
