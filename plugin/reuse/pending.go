package reuse

import (
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	maxPending  = 10_000          // requests at the provider that are remembered
	pendingLife = 2 * time.Minute // for which a request is remembered whose response phase doesn't come
)

// pending is a request that is at the provider.
type pending struct {
	id     string
	key    key
	seen   key               // of what the response phase must see, too
	marks  map[string]string // as known before the provider was asked
	slot   *slot             // nil if answers aren't shared
	asked  time.Time         // when it went to the provider
	failed bool              // the provider answered 429 or 5xx

	refused bool // the provider refused the same request since it was asked
}

// pendings are bounded by their number and by time. Not safe for concurrent use.
type pendings struct {
	byID  *simplelru.LRU[string, *pending]
	byKey map[key][]*pending
}

func newPendings() pendings {
	s := pendings{byKey: map[key][]*pending{}}
	byID, err := simplelru.NewLRU(maxPending+1, s.forget) // never full by itself
	if err != nil {
		panic(err) // only a size below one is an error
	}
	s.byID = byID
	return s
}

// forget is called with each request that leaves byID.
func (s pendings) forget(_ string, p *pending) {
	same := slices.DeleteFunc(s.byKey[p.key], func(other *pending) bool { return other == p })
	if s.byKey[p.key] = same; len(same) == 0 {
		delete(s.byKey, p.key)
	}
}

// refuse notes that the provider refused a request with the key k. It may have accepted
// the same ones that are there before that, and nobody knows.
func (s pendings) refuse(k key) {
	for _, p := range s.byKey[k] {
		p.refused = true
	}
}

// add remembers p, and returns those that are forgotten: nobody heard of them for too
// long, or there are too many, or the id is now that of another request.
func (s pendings) add(p *pending) (forgotten []*pending) {
	if old := s.take(p.id); old != nil && old.key != p.key { // the same key: a handler can run twice for a request
		forgotten = append(forgotten, old)
	}
	s.byID.Add(p.id, p)
	s.byKey[p.key] = append(s.byKey[p.key], p)
	return append(forgotten, s.sweep(p.asked)...)
}

// sweep forgets what is too old or too much at now.
func (s pendings) sweep(now time.Time) (forgotten []*pending) {
	for {
		_, oldest, ok := s.byID.GetOldest()
		if !ok || now.Sub(oldest.asked) < pendingLife && s.byID.Len() <= maxPending {
			return forgotten
		}
		s.byID.RemoveOldest()
		forgotten = append(forgotten, oldest)
	}
}

// get returns the request id, nil if it isn't known.
func (s pendings) get(id string) *pending {
	p, _ := s.byID.Peek(id)
	return p
}

// take is get, and forgets the request.
func (s pendings) take(id string) *pending {
	p := s.get(id)
	s.byID.Remove(id)
	return p
}
