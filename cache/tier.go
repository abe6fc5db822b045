package cache

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"m2m-token-enricher/schema"
)

// tier holds definite answers in memory, bounded by their number and by their
// bytes, and joins those who wait for the same one. Safe for concurrent use.
type tier struct {
	mu       sync.Mutex
	entries  *simplelru.LRU[string, entry]
	bytes    int // of all entries
	maxBytes int
	flights  map[string]*flight
	doubts   uint64 // how often everything held became doubtful
}

// entry is a definite answer: a record, or why there is none.
type entry struct {
	record schema.Record
	err    error
	asked  time.Time     // when Redis was asked; zero: Redis told of a change since
	life   time.Duration // for which it is fresh
	doubts uint64        // of the tier when Redis was asked

	properties []string // that Redis was asked for
	partial    bool     // not for all that are needed: it is only good to refuse
}

// younger reports whether the record may be used at now if it may be as old as
// limit.
func (e entry) younger(limit time.Duration, now time.Time) bool {
	return e.err == nil && !e.partial && now.Sub(e.asked) < limit
}

// flight is one question to Redis and those who wait for its answer.
type flight struct {
	key    string
	doubts uint64
	ended  chan struct{} // closed when answer and err are there
	answer entry
	err    error
}

func newTier(maxEntries, maxBytes int) *tier {
	t := &tier{maxBytes: maxBytes, flights: map[string]*flight{}}
	entries, err := simplelru.NewLRU(max(1, maxEntries), func(key string, e entry) { t.bytes -= size(key, e) })
	if err != nil {
		panic(err) // only a size below one is an error
	}
	t.entries = entries
	return t
}

// get returns what is held of key, and whether it is fresh at now.
func (t *tier) get(key string, now time.Time) (e entry, held, fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.look(key, now)
}

func (t *tier) look(key string, now time.Time) (e entry, held, fresh bool) {
	e, held = t.entries.Get(key)
	return e, held, held && !e.partial && e.doubts == t.doubts && now.Sub(e.asked) < e.life
}

// join returns the flight that asks for key. If lead, the caller must make it
// and land it. It has ended already if another one ended since the caller
// looked.
func (t *tier) join(key string, now time.Time) (f *flight, lead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.flights[key]; f != nil {
		return f, false
	}
	f = &flight{key: key, doubts: t.doubts, ended: make(chan struct{})}
	if e, _, fresh := t.look(key, now); fresh {
		f.answer = e
		close(f.ended)
		return f, false
	}
	t.flights[key] = f
	return f, true
}

// land gives the answer to all that wait, and holds it unless it is an error
// or Redis told of a change since it was asked.
func (t *tier) land(f *flight, answer entry, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer close(f.ended)
	f.answer, f.err = answer, err
	f.answer.doubts = f.doubts
	if t.flights[f.key] != f {
		return
	}
	delete(t.flights, f.key)
	if err == nil {
		t.hold(f.key, f.answer)
	}
}

func (t *tier) hold(key string, e entry) {
	t.entries.Remove(key) // or its bytes would go on counting
	n := size(key, e)
	if n > t.maxBytes {
		return // it would push out everything, itself at last
	}
	t.entries.Add(key, e)
	t.bytes += n
	for t.bytes > t.maxBytes {
		t.entries.RemoveOldest()
	}
}

// changed says that the record of key isn't what is held any more. It stays as
// the last one known.
func (t *tier) changed(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.flights, key) // who asks from now on doesn't wait for it
	if e, held := t.entries.Peek(key); held {
		e.asked = time.Time{}
		t.entries.Add(key, e)
	}
}

// holds returns how much is held: entries and their bytes.
func (t *tier) holds() (entries, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries.Len(), t.bytes
}

// doubt says that anything held may have changed: nothing is fresh any more.
func (t *tier) doubt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubts++
	clear(t.flights)
}

// What an entry takes beside its texts, in bytes: measured, rounded up.
const (
	entrySize    = 480
	propertySize = 48
)

// size is about how many bytes of memory an entry takes.
func size(key string, e entry) int {
	n := entrySize + len(key)
	for name, value := range e.record {
		n += propertySize + len(name) + len(value)
	}
	return n
}
