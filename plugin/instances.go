package plugin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/metrics"
	"m2m-token-enricher/schema"
)

// unusedAfter is how long an instance may be idle before it goes, with its
// connections. Kong doesn't say when it no longer needs one; one that is gone is
// started again.
const unusedAfter = time.Hour

// overAfter is the same for an instance whose plugin has another one, as after
// a reload: longer than Kong's workers go on with the old configuration, and
// than the provider takes to answer most requests that began with it. It is the
// same for one that can't enrich, too: its configuration may be mended by now,
// which is known only when Kong starts it with a request.
const overAfter = 30 * time.Second

// instances are those that Kong has started, each once however many workers
// started it. Safe for concurrent use.
type instances struct {
	now       func() time.Time
	open      func(*schema.Config, gateway.Options) (*gateway.Gateway, error)
	observers observers
	lines     *lines

	auditWarning, tracesWarning warning

	mu     sync.Mutex
	lastID int32
	known  map[int32]*instance      // by id
	ended  map[string]metrics.State // what those counted that are gone, by the name that another one has
	heirs  succession
	swept  time.Time
}

func newInstances() *instances {
	return &instances{
		now: time.Now, open: gateway.Open, lines: newLines(time.Now), lastID: randomID(),
		known: map[int32]*instance{}, ended: map[string]metrics.State{}, heirs: succession{},
	}
}

// start starts the instance with the configuration that Kong delivers, unless
// it was started already.
func (is *instances) start(config []byte) *instance {
	i := newInstance(is, config)
	is.mu.Lock()
	defer is.mu.Unlock()
	now := is.now()
	if before := is.with(i.identity); before != nil {
		i = before
	} else {
		i.id, i.started = is.newID(), now
		i.run()
		is.known[i.id] = i
	}
	i.used = now
	is.place(i, readDelivery(config), now)
	is.sweep(now)
	return i
}

// options are what an instance of cfg is opened with. The caller holds mu.
func (is *instances) options(cfg *schema.Config) gateway.Options {
	return gateway.Options{From: is.cached(cfg), Transport: is.observers.traces.Transport(), Step: is.observers.step()}
}

// place makes i the instance of the plugin that d names. Until now the previous
// one counts as used. The caller holds mu.
func (is *instances) place(i *instance, d delivery, now time.Time) {
	i.placed = i.placed || d.Plugin != ""
	if previous := is.known[is.heirs.put(d, i.id)]; previous != nil {
		previous.used = now
	}
}

// replaced reports whether every plugin that had i has another one by now.
func (is *instances) replaced(i *instance) bool { return i.placed && !is.heirs.has(i.id) }

// cached returns the gateway of the instance used last whose records are those
// that cfg needs, nil if there is none: a changed configuration begins with what
// the previous one knew, also while Redis is away. The caller holds mu.
func (is *instances) cached(cfg *schema.Config) *gateway.Gateway {
	var last *instance
	for _, i := range is.known {
		if i.running != nil && i.running.Records.Serves(cfg) && (last == nil || i.used.After(last.used)) {
			last = i
		}
	}
	if last == nil {
		return nil
	}
	return last.running
}

// with returns the known instance of a configuration, nil if there is none.
func (is *instances) with(identity [sha256.Size]byte) *instance {
	for _, i := range is.known {
		if i.identity == identity {
			return i
		}
	}
	return nil
}

// newID returns an id that no known instance has. Ids are counted from a random
// start, so that one of another process means nothing here: Kong's workers keep
// theirs when the process is replaced. That n old ids and m known ones have one
// in common has a probability of (n+m)/2³¹ at most, a millionth for a thousand
// of each.
func (is *instances) newID() int32 {
	for {
		is.lastID = is.lastID%math.MaxInt32 + 1 // Kong takes 0 for none
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

// find returns the instance called id, nil if it isn't known. It is then in
// use.
func (is *instances) find(id int32) *instance {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.found(id)
}

// found is find for a caller that holds mu.
func (is *instances) found(id int32) *instance {
	i, now := is.known[id], is.now()
	if i != nil {
		i.used = now
	}
	is.sweep(now)
	return i
}

// use is find for an event, during which the instance stays. The caller ends it
// by busy.Add(-1).
func (is *instances) use(id int32) *instance {
	is.mu.Lock()
	defer is.mu.Unlock()
	i := is.found(id)
	if i != nil {
		i.busy.Add(1)
	}
	return i
}

// sweep drops what is unused. Closing waits for what is under way to Redis, and
// every event needs is.mu: it must not wait for that.
func (is *instances) sweep(now time.Time) {
	if now.Sub(is.swept) < overAfter/6 {
		return
	}
	is.swept = now
	for id, i := range is.known {
		if i.busy.Load() == 0 && now.Sub(i.used) >= is.limit(i) {
			delete(is.known, id)
			is.heirs.remove(i.id)
			is.forget(i)
			go i.close()
		}
	}
}

// forget drops what was counted of i, which isn't known any more. While another
// one has its name the counts stay: a counter that falls counts as one that began
// anew.
func (is *instances) forget(i *instance) {
	name := i.name()
	for _, other := range is.known {
		if other.name() == name {
			if i.running != nil {
				is.ended[name] = is.ended[name].Join(stateOf(name, i.running).Counts())
			}
			return
		}
	}
	delete(is.ended, name)
	is.observers.metrics.Forget(name)
}

// limit is how long i may be unused.
func (is *instances) limit(i *instance) time.Duration {
	if is.replaced(i) || i.notReady() {
		return overAfter
	}
	return unusedAfter
}

// Instances implements [metrics.Source].
func (is *instances) Instances() int {
	is.mu.Lock()
	defer is.mu.Unlock()
	return len(is.known)
}

// Missed implements [metrics.Source].
func (is *instances) Missed() uint64 { return is.observers.audit.Missed() }

// States implements [metrics.Source]. Instances with one name have one state.
func (is *instances) States() []metrics.State {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.sweep(is.now())
	states := map[string]metrics.State{}
	for _, i := range is.known {
		if i.running == nil {
			continue
		}
		name := i.name()
		s := stateOf(name, i.running)
		if s.NotReady != nil {
			go i.running.Warm() // without a request nothing else would
		}
		if before, ok := states[name]; ok {
			states[name] = before.Join(s)
		} else {
			states[name] = s.Join(is.ended[name])
		}
	}
	return slices.Collect(maps.Values(states))
}
