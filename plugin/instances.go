package plugin

import (
	"sync"
	"time"
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

// start starts the instance that Kong delivers a configuration for.
func (is *instances) start(r rpc) (id int32, started int64) {
	config, err := field(r.args, 2)
	if err != nil {
		config = nil // which the events then say
	}
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
	return i.id, k.started.Unix()
}

// status returns the id and the start of an instance, 0 if it isn't known.
func (is *instances) status(r rpc) (id int32, started int64) {
	is.mu.Lock()
	defer is.mu.Unlock()
	k := is.known[instanceOf(r)]
	if k == nil {
		return 0, 0
	}
	return k.id, k.started.Unix()
}

// find returns the instance and the phase of an event.
func (is *instances) find(r rpc) (*Instance, string) {
	phase, err := field(r.args, 2)
	if err != nil {
		return nil, ""
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	k := is.known[instanceOf(r)]
	if k == nil {
		return nil, ""
	}
	k.used = is.runtimes.now()
	return k.Instance, string(phase)
}

func instanceOf(r rpc) int32 {
	id, err := varint(r.args, 1)
	if err != nil {
		return 0
	}
	return int32(id)
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
