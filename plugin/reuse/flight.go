package reuse

import (
	"slices"
	"time"
)

// turn is what a request does next.
type turn int

const (
	stay    turn = iota // wait for the next turn
	look                // an answer is held
	lookOld             // the provider fails, but an old answer is held
	goFirst             // lead, and ask the fleet before the provider
	goLead              // lead, because the one before failed
	goAlone             // ask the provider without a wait
)

// flight is the requests of one key that wait for the first of them, the leader. The
// leader may never come back.
type flight struct {
	leader  string // Kong's id of its request
	left    time.Time
	waiting []*waiter // in the order of their arrival
}

// waiter is a request that waits for its turn.
type waiter struct {
	id   string
	turn chan turn // takes one
}

// flights are those of all keys. Not safe for concurrent use.
type flights struct {
	timeout time.Duration // for which a leader is waited for
	of      map[key]*flight
	waiting int
}

// maxWaiting is how many requests may wait at once.
const maxWaiting = 10_000

// join returns the waiter of request id, or nil if it leads.
func (s *flights) join(k key, id string, now time.Time) *waiter {
	f := s.of[k]
	if f == nil || f.leader == id || now.Sub(f.left) >= s.timeout {
		s.lead(k, id, now)
		return nil
	}
	w := &waiter{id, make(chan turn, 1)}
	f.waiting = append(f.waiting, w)
	s.waiting++
	return w
}

// full reports whether no more requests may wait.
func (s *flights) full() bool { return s.waiting >= maxWaiting }

// cancel ends the wait of w. It returns the turn that w has got already, or stay.
func (s *flights) cancel(k key, w *waiter) turn {
	select {
	case t := <-w.turn:
		return t
	default:
	}
	f := s.of[k]
	f.waiting = slices.DeleteFunc(f.waiting, func(other *waiter) bool { return other == w })
	s.waiting--
	return stay
}

// lead makes the request id lead, which goes to the provider now. Who comes next waits
// for it.
func (s *flights) lead(k key, id string, now time.Time) {
	f := s.of[k]
	if f == nil {
		f = &flight{}
		s.of[k] = f
	}
	f.leader, f.left = id, now
}

// end gives all that wait for an answer to k the same turn.
func (s *flights) end(k key, t turn) {
	f := s.of[k]
	if f == nil {
		return
	}
	for _, w := range f.waiting {
		w.turn <- t
	}
	s.waiting -= len(f.waiting)
	delete(s.of, k)
}

// fail lets the next request lead if id does.
func (s *flights) fail(k key, id string, now time.Time) {
	f := s.of[k]
	switch {
	case f == nil || f.leader != id:
	case len(f.waiting) == 0:
		delete(s.of, k)
	default:
		next := f.waiting[0]
		f.waiting = slices.Delete(f.waiting, 0, 1)
		s.waiting--
		f.leader, f.left = next.id, now
		next.turn <- goLead
	}
}

// endAll lets all that wait go.
func (s *flights) endAll() {
	for k := range s.of {
		s.end(k, goAlone)
	}
}
