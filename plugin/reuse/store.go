package reuse

import (
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"m2m-token-enricher/plugin/enrich"
)

const (
	maxPerClient = 64 // answers of one client; its oldest goes first

	// probationShare is the part of the store that answers have which were not given
	// again yet: one in this many.
	probationShare = 5

	entrySize = 400 // bytes of memory that an entry takes beside its answer: measured, rounded up
)

// entry is an answer that may be given again, or only the note that requests of its key
// don't wait for each other. Its first part never changes.
type entry struct {
	key   key
	held  *enrich.Held // nil for a note
	stamp stamp
	asked time.Time // when the request went to the provider; of a refusal, when it came
	until time.Time // after this it is of no use
	bytes int       // of memory

	alone     time.Time // until then, requests of the key don't wait for each other
	crowds    bool      // one of its client's went for it that was still of use
	given     bool      // it was given again
	protected bool
}

func newEntry(k key, h *enrich.Held, s stamp, asked, until time.Time) *entry {
	return &entry{key: k, held: h, stamp: s, asked: asked, until: until, bytes: entrySize + h.Size()}
}

func newNote(k key, until time.Time) *entry {
	return &entry{key: k, until: until, alone: until, bytes: entrySize}
}

// newRefusal returns the note that the provider refused a request at now: no answer that
// is older is held, such as one that other gateways still share.
func newRefusal(k key, now, until time.Time) *entry {
	e := newNote(k, until)
	e.asked = now
	return e
}

// refuses reports whether e is a refusal that came after old was asked for.
func (e *entry) refuses(old *entry) bool { return e.held == nil && e.asked.After(old.asked) }

// store keeps entries in memory, bounded by their number and their bytes. It is a
// segmented LRU: entries that were given again are in a part of their own, and new ones
// never push them out. Not safe for concurrent use.
type store struct {
	maxEntries, maxBytes int

	probation, protected segment
	clients              map[string][]*entry // by verified client id, in the order of their arrival
}

// segment is one part of a store.
type segment struct {
	entries *simplelru.LRU[key, *entry]
	bytes   int
}

func newSegment(maxEntries int) segment {
	entries, err := simplelru.NewLRU[key, *entry](maxEntries+1, nil) // never full by itself
	if err != nil {
		panic(err) // only a size below one is an error
	}
	return segment{entries: entries}
}

func (s *segment) add(e *entry) {
	s.entries.Add(e.key, e)
	s.bytes += e.bytes
}

func (s *segment) remove(e *entry) {
	s.entries.Remove(e.key)
	s.bytes -= e.bytes
}

func (s *segment) oldest() *entry {
	_, e, _ := s.entries.GetOldest()
	return e
}

func newStore(maxEntries, maxBytes int) *store {
	return &store{
		maxEntries: maxEntries, maxBytes: maxBytes,
		probation: newSegment(maxEntries), protected: newSegment(maxEntries),
		clients: map[string][]*entry{},
	}
}

// get returns the entry of k, nil if there is none.
func (s *store) get(k key) *entry {
	if e, ok := s.protected.entries.Get(k); ok {
		return e
	}
	e, _ := s.probation.entries.Get(k)
	return e
}

// peek is get, but doesn't count as a use.
func (s *store) peek(k key) *entry {
	if e, ok := s.protected.entries.Peek(k); ok {
		return e
	}
	e, _ := s.probation.entries.Peek(k)
	return e
}

// put adds e, which replaces the entry of its key and has its place. It reports whether
// e fits.
func (s *store) put(e *entry, now time.Time) bool {
	old := s.peek(e.key)
	if e.bytes > s.maxBytes/probationShare {
		return false
	}
	if old != nil {
		e.protected = old.protected && e.held != nil
		s.remove(old)
	}
	if e.held != nil {
		s.own(e, now)
	}
	if e.protected {
		s.protected.add(e)
		s.demote()
	} else {
		s.probation.add(e)
	}
	s.evict(now)
	return true
}

// own notes that e is its client's, whose oldest goes if there are too many.
func (s *store) own(e *entry, now time.Time) {
	id := e.held.ClientID
	if own := s.clients[id]; len(own) >= maxPerClient {
		e.crowds = now.Before(own[0].until)
		s.remove(own[0])
	}
	s.clients[id] = append(s.clients[id], e)
}

// use notes that e was given again, and protects it. An entry that was replaced
// meanwhile stays so.
func (s *store) use(e *entry) {
	e.given = true
	if e.protected || s.peek(e.key) != e {
		return
	}
	s.probation.remove(e)
	e.protected = true
	s.protected.add(e)
	s.demote()
}

// demote keeps the protected part within its share.
func (s *store) demote() {
	for s.protected.entries.Len() > s.maxEntries-max(1, s.maxEntries/probationShare) || s.protected.bytes > s.maxBytes-s.maxBytes/probationShare {
		e := s.protected.oldest()
		s.protected.remove(e)
		e.protected = false
		s.probation.add(e)
	}
}

// evict drops the oldest entries while they are of no use, and while there is too much.
func (s *store) evict(now time.Time) {
	for _, part := range []*segment{&s.probation, &s.protected} {
		for e := part.oldest(); e != nil && !now.Before(e.until); e = part.oldest() {
			s.remove(e)
		}
	}
	for entries, bytes := s.size(); entries > s.maxEntries || bytes > s.maxBytes; entries, bytes = s.size() {
		s.remove(s.probation.oldest()) // the protected part alone is never too much
	}
}

// remove drops e if it is still there.
func (s *store) remove(e *entry) {
	switch {
	case s.peek(e.key) != e:
		return
	case e.protected:
		s.protected.remove(e)
	default:
		s.probation.remove(e)
	}
	if e.held != nil {
		s.disown(e)
	}
}

func (s *store) disown(e *entry) {
	id := e.held.ClientID
	own := slices.DeleteFunc(s.clients[id], func(other *entry) bool { return other == e })
	if s.clients[id] = own; len(own) == 0 {
		delete(s.clients, id)
	}
}

// removeAll drops the entries that bad reports.
func (s *store) removeAll(bad func(*entry) bool) {
	for _, e := range slices.Concat(s.probation.entries.Values(), s.protected.entries.Values()) {
		if bad(e) {
			s.remove(e)
		}
	}
}

// answers returns how many entries have an answer.
func (s *store) answers() (n int) {
	for _, own := range s.clients {
		n += len(own)
	}
	return n
}

// size returns the number of entries and their bytes.
func (s *store) size() (entries, bytes int) {
	return s.probation.entries.Len() + s.protected.entries.Len(), s.probation.bytes + s.protected.bytes
}
