package plugin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sync"
	"time"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/metrics"
	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/schema"
)

// How long an instance stays open without an event. Kong doesn't say when it no
// longer needs one, and starts a closed one again.
const (
	idleLimit = time.Hour
	// replacedLimit is for an instance that a reload replaced: longer than Kong's
	// workers keep the old configuration, and than the provider takes to answer
	// most requests. It is also for one that can't enrich: a reload may have fixed
	// it, and Kong starts the new one only with a request.
	replacedLimit = 30 * time.Second
	sweepInterval = replacedLimit / 6
)

// instances are those that Kong has started, each once however many workers
// started it. They implement [pdk.Plugin] and [metrics.Source]. Safe for concurrent
// use.
type instances struct {
	now       func() time.Time
	open      func(*schema.Config, gateway.Options) (*gateway.Gateway, error)
	observers observers
	failures  *failureLimit

	auditWarning, tracesWarning warning

	mu        sync.Mutex
	lastID    int32
	known     map[int32]*instance      // by id
	counts    map[string]metrics.State // of closed instances whose name another one has
	lastSweep time.Time
}

func newInstances() *instances {
	return &instances{
		now: time.Now, open: gateway.Open, failures: newFailureLimit(time.Now), lastID: randomID(),
		known: map[int32]*instance{}, counts: map[string]metrics.State{},
	}
}

// StartInstance implements [pdk.Plugin].
func (is *instances) StartInstance(config []byte) pdk.Instance { return is.start(config).status() }

// FindInstance implements [pdk.Plugin].
func (is *instances) FindInstance(id int32) (pdk.Instance, bool) {
	i := is.use(id)
	if i == nil {
		return pdk.Instance{}, false
	}
	defer i.busy.Add(-1)
	return i.status(), true
}

// HandleEvent implements [pdk.Plugin].
func (is *instances) HandleEvent(k *pdk.Event) (known bool) {
	i := is.use(k.Instance)
	if i == nil {
		return false
	}
	defer i.busy.Add(-1)
	i.handleEvent(k)
	return true
}

// start starts the instance with the configuration that Kong delivers, unless
// it is already started. It opens without mu, which every event needs: a workflow
// takes time to build. Of several that open at once, the first stays.
func (is *instances) start(config []byte) *instance {
	i := newInstance(is, config)
	if known := is.deliver(i.identity, config); known != nil {
		return known
	}
	i.open(is.options)
	return is.insert(i, config)
}

// deliver returns the known instance of the configuration that Kong delivers, nil if
// there is none.
func (is *instances) deliver(identity [sha256.Size]byte, config []byte) *instance {
	is.mu.Lock()
	defer is.mu.Unlock()
	i := is.withConfig(identity)
	if i == nil {
		return nil
	}
	is.note(i, config)
	return is.known[i.id] // unless that closed it
}

// insert adds an open instance, or returns the known one of its configuration.
func (is *instances) insert(opened *instance, config []byte) *instance {
	is.mu.Lock()
	defer is.mu.Unlock()
	i := is.withConfig(opened.identity)
	if i != nil {
		go opened.close()
	} else {
		i = opened
		i.id, i.started = is.newID(), is.now()
		is.known[i.id] = i
		i.warm()
	}
	is.note(i, config)
	return i
}

// note keeps that Kong has started i for a delivered configuration.
func (is *instances) note(i *instance, config []byte) {
	i.used = is.now()
	i.delivered(config)
	is.sweep(i.used)
}

// use returns the instance called id, nil if it isn't known. It stays open until
// the caller calls busy.Add(-1).
func (is *instances) use(id int32) *instance {
	is.mu.Lock()
	defer is.mu.Unlock()
	i, now := is.known[id], is.now()
	if i != nil {
		i.used = now
		i.busy.Add(1)
	}
	is.sweep(now)
	return i
}

// options returns what an instance of cfg is opened with.
func (is *instances) options(cfg *schema.Config) gateway.Options {
	is.mu.Lock()
	defer is.mu.Unlock()
	return gateway.Options{From: is.cached(cfg), Transport: is.observers.traces.Transport(), Step: is.observers.step()}
}

// questions returns those of the events of g, which has the requests of s.
func (is *instances) questions(g *gateway.Gateway, s scope) questions {
	traced := is.observers.traces != nil
	if g.Reuse != nil {
		return newReuseQuestions(traced, g.ReadsIP(), s, g.Config.Reuse)
	}
	return newQuestions(traced, g.ReadsIP())
}

// cached returns the gateway of the instance used last whose records are those
// that cfg needs, nil if there is none. A changed configuration then starts with
// the cached records, also while Redis is down. The caller holds mu.
func (is *instances) cached(cfg *schema.Config) *gateway.Gateway {
	var last *instance
	for _, i := range is.known {
		if i.gateway != nil && i.gateway.Records.Serves(cfg) && (last == nil || i.used.After(last.used)) {
			last = i
		}
	}
	if last == nil {
		return nil
	}
	return last.gateway
}

// withConfig returns the known instance of a configuration, nil if there is none.
func (is *instances) withConfig(identity [sha256.Size]byte) *instance {
	for _, i := range is.known {
		if i.identity == identity {
			return i
		}
	}
	return nil
}

// newID returns an id that no known instance has. Ids count from a random start,
// because Kong's workers keep theirs when the plugin's process is replaced. That n
// old ids and m known ones have one in common has a probability of (n+m)/2³¹ at
// most, a millionth for a thousand of each.
func (is *instances) newID() int32 {
	for {
		is.lastID = is.lastID%math.MaxInt32 + 1 // 0 means none to Kong
		if is.known[is.lastID] == nil {
			return is.lastID
		}
	}
}

func randomID() int32 {
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails
	return int32(binary.BigEndian.Uint32(random[:]) >> 1)
}

// sweep closes what is unused. It doesn't wait for that: every event needs mu, and
// closing waits for calls to Redis.
func (is *instances) sweep(now time.Time) {
	if now.Sub(is.lastSweep) < sweepInterval {
		return
	}
	is.lastSweep = now
	for id, i := range is.known {
		if is.useless(i, now) {
			delete(is.known, id)
			is.forget(i)
			go i.close()
		}
	}
}

// useless reports whether i can be closed. One that can't be opened is, soon, whatever
// events come: Kong starts it again, and what it lacked may be there, such as a file.
func (is *instances) useless(i *instance, now time.Time) bool {
	if i.gateway == nil {
		return now.Sub(i.started) >= replacedLimit
	}
	limit := idleLimit
	if i.notReady() || is.replaced(i) {
		limit = replacedLimit
	}
	return i.busy.Load() == 0 && now.Sub(i.used) >= limit
}

// replaced reports whether a newer configuration was delivered for each plugin
// that i was delivered for.
func (is *instances) replaced(i *instance) bool {
	for plugin, sequence := range i.plugins {
		newer := false
		for _, other := range is.known {
			newer = newer || other.plugins[plugin] > sequence
		}
		if !newer {
			return false
		}
	}
	return len(i.plugins) > 0
}

// forget drops the counts of i, which isn't known any more. They stay while
// another instance has its name: Prometheus takes a falling counter for a restart.
func (is *instances) forget(i *instance) {
	for _, other := range is.known {
		if other.name == i.name {
			if i.gateway != nil {
				is.counts[i.name] = is.counts[i.name].Join(stateOf(i.name, i.gateway).Counts())
			}
			return
		}
	}
	delete(is.counts, i.name)
	is.observers.metrics.Forget(i.name)
}
