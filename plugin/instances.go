package plugin

import (
	"sync"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// instances are those that Kong has started, each once however many workers
// started it. Kong doesn't say when it no longer needs one; one that is dropped
// is started again. Safe for concurrent use.
type instances struct {
	runtimes *runtimes

	mu    sync.Mutex
	known map[int32]*known
	swept time.Time
}

// known is an instance with what Kong may ask of it.
type known struct {
	*Instance
	started time.Time
	used    time.Time
}

func newInstances(runtimes *runtimes) *instances {
	return &instances{runtimes: runtimes, known: map[int32]*known{}}
}

// start starts an instance with the configuration that Kong delivers.
func (is *instances) start(config []byte) *kong_plugin_protocol.InstanceStatus {
	i := newInstance(is.runtimes, config)
	is.mu.Lock()
	defer is.mu.Unlock()
	now := is.runtimes.now()
	is.sweep(now)
	k := is.known[i.id]
	if k == nil || k.mistakes != nil {
		k = &known{Instance: i, started: now}
		is.known[i.id] = k
	}
	k.used = now
	return k.status()
}

// status returns the status of an instance, nil if it isn't known.
func (is *instances) status(id int32) *kong_plugin_protocol.InstanceStatus {
	is.mu.Lock()
	defer is.mu.Unlock()
	if k := is.known[id]; k != nil {
		return k.status()
	}
	return nil
}

func (k *known) status() *kong_plugin_protocol.InstanceStatus {
	return &kong_plugin_protocol.InstanceStatus{Name: Name, InstanceId: k.id, StartedAt: k.started.Unix()}
}

// find returns the instance for an event, nil if it isn't known.
func (is *instances) find(id int32) *Instance {
	is.mu.Lock()
	defer is.mu.Unlock()
	k := is.known[id]
	if k == nil {
		return nil
	}
	k.used = is.runtimes.now()
	return k.Instance
}

// sweep drops what is unused.
func (is *instances) sweep(now time.Time) {
	if now.Sub(is.swept) < unusedAfter/60 {
		return
	}
	is.swept = now
	for id, k := range is.known {
		if now.Sub(k.used) >= unusedAfter {
			delete(is.known, id)
		}
	}
}
