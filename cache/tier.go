package cache

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"m2m-token-enricher/schema"
)

// tier keeps definite answers in memory, bounded by their number and by their
// bytes. It also joins the lookups that wait for the same answer. Safe for
// concurrent use.
type tier struct {
	mu         sync.Mutex
	entries    *simplelru.LRU[string, entry]
	bytes      int // of all entries
	maxBytes   int
	flights    map[string]*flight
	generation uint64 // grows when all entries are invalidated
}

// entry is a definite answer: a record, or why there is none.
type entry struct {
	record     schema.Record
	err        error         // of a negative entry
	asked      time.Time     // when Redis was asked; zero: Redis has reported a change since
	ttl        time.Duration // for which it is fresh
	generation uint64        // of the tier when Redis was asked

	properties []string // that Redis was asked for
	partial    bool     // a needed property wasn't among them: good only to refuse a token
}

// usable reports whether e is a record that may serve at now if it may be as old
// as maxAge.
func (e entry) usable(maxAge time.Duration, now time.Time) bool {
	return e.err == nil && !e.partial && now.Sub(e.asked) < maxAge
}

// flight is one fetch from Redis and those who wait for its answer.
type flight struct {
	key        string
	generation uint64
	done       chan struct{} // closed when answer and err are set
	answer     entry
	err        error
}

func newTier(maxEntries, maxBytes int) *tier {
	t := &tier{maxBytes: maxBytes, flights: map[string]*flight{}}
	entries, err := simplelru.NewLRU(max(1, maxEntries), func(key string, e entry) { t.bytes -= sizeOf(key, e) })
	if err != nil {
		panic(err) // only a size below one is an error
	}
	t.entries = entries
	return t
}

// get returns the entry of key, and whether it is fresh at now.
func (t *tier) get(key string, now time.Time) (e entry, cached, fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.find(key, now)
}

func (t *tier) find(key string, now time.Time) (e entry, cached, fresh bool) {
	e, cached = t.entries.Get(key)
	return e, cached, cached && !e.partial && e.generation == t.generation && now.Sub(e.asked) < e.ttl
}

// join returns the flight that fetches key. If first, the caller must fetch and
// finish the flight. A flight that ended since the caller's miss counts, too:
// then the returned one is done already.
func (t *tier) join(key string, now time.Time) (f *flight, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.flights[key]; f != nil {
		return f, false
	}
	f = &flight{key: key, generation: t.generation, done: make(chan struct{})}
	if e, _, fresh := t.find(key, now); fresh {
		f.answer = e
		close(f.done)
		return f, false
	}
	t.flights[key] = f
	return f, true
}

// finish gives the answer to all that wait. It caches the answer unless it is an
// error or was invalidated during the fetch.
func (t *tier) finish(f *flight, answer entry, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer close(f.done)
	f.answer, f.err = answer, err
	f.answer.generation = f.generation
	if t.flights[f.key] != f {
		return
	}
	delete(t.flights, f.key)
	if err == nil {
		t.add(f.key, f.answer)
	}
}

func (t *tier) add(key string, e entry) {
	t.entries.Remove(key) // otherwise its bytes would still count
	n := sizeOf(key, e)
	if n > t.maxBytes {
		return // it would evict everything, itself last
	}
	t.entries.Add(key, e)
	t.bytes += n
	for t.bytes > t.maxBytes {
		t.entries.RemoveOldest()
	}
}

// invalidate marks the entry of key as outdated. It stays as the last one known.
func (t *tier) invalidate(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.flights, key) // later lookups don't wait for an answer from before the change
	if e, cached := t.entries.Peek(key); cached {
		e.asked = time.Time{}
		t.entries.Add(key, e)
	}
}

// invalidateAll makes all entries stale, because any of them may have changed.
func (t *tier) invalidateAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.generation++
	clear(t.flights)
}

// tiers are those whose keys one connection reports.
type tiers []*tier

func (ts tiers) invalidate(key string) {
	for _, t := range ts {
		t.invalidate(key)
	}
}

func (ts tiers) invalidateAll() {
	for _, t := range ts {
		t.invalidateAll()
	}
}

// size returns the number of entries and their bytes.
func (t *tier) size() (entries, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries.Len(), t.bytes
}

// What an entry takes beside its texts, in bytes: measured, rounded up.
const (
	entrySize    = 480
	propertySize = 48
)

// sizeOf is about how many bytes of memory an entry takes.
func sizeOf(key string, e entry) int {
	n := entrySize + len(key)
	for name, value := range e.record {
		n += propertySize + len(name) + len(value)
	}
	return n
}
