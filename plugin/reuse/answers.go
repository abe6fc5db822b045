// Package reuse gives an enriched answer again to requests that repeat the first one
// byte for byte, and lets identical requests wait for one answer. It knows neither Kong
// nor Redis, and the caller provides the clock.
package reuse

import (
	"context"
	"crypto/sha256"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// Options are what answers need. Its functions are called in parallel, and no lock is
// held meanwhile.
type Options struct {
	Config   *schema.Config
	Identity [sha256.Size]byte // of all that decides what is enriched; equal on gateways that share answers

	// Again is [enrich.Enricher.Again] at the current time.
	Again func(ctx context.Context, h *enrich.Held, ip string) (enrich.Result, error)

	// Marks returns the purge marks by what was purged, as [schema.PurgedClient] names it.
	// The map must not be modified afterwards. It bounds its wait itself.
	Marks func(context.Context) (map[string]string, error)

	Shared Shared                      // nil if answers aren't shared
	Alive  func(context.Context) error // asks the provider for a sign of life, no longer than the context

	Now    func() time.Time
	Random func() float64 // from 0 up to 1
}

// Shared keeps answers for all gateways. Safe for concurrent use.
type Shared interface {
	// SharedAnswer returns the value of name, nil if there is none.
	SharedAnswer(ctx context.Context, name string) ([]byte, error)
	// ShareAnswer keeps value for life. It returns at once, and may drop the value.
	ShareAnswer(name string, value []byte, life time.Duration)
}

// Answers are the answers of one configuration that may be given again, and the requests
// that wait for one. Safe for concurrent use.
type Answers struct {
	o        Options
	timeout  time.Duration
	times    times
	keys     *authenticator // of this process
	fleet    *authenticator // under reuse.secret, nil if answers aren't shared
	provider *provider
	held     func(enrich.Result) (*enrich.Held, error)

	saved, made, sharedErrors atomic.Uint64

	mu      sync.Mutex
	store   *store
	flights flights
	pending pendings
	marks   map[string]string // the last known
	closed  bool
}

// New returns the answers of a configuration, none at first.
func New(o Options) *Answers {
	cfg := o.Config
	timeout := time.Duration(cfg.Timeout) * time.Millisecond
	a := &Answers{
		o: o, timeout: timeout, times: newTimes(cfg),
		keys:     newAuthenticator(randomSecret()),
		provider: newProvider(o.Alive, timeout/2, o.Now),
		held:     enrich.Result.Held,
		store:    newStore(cfg.Reuse.MaxEntries, cfg.Reuse.MaxBytes),
		flights:  flights{timeout: timeout, of: map[key]*flight{}},
		pending:  newPendings(),
	}
	if o.Shared != nil {
		a.fleet = newAuthenticator([]byte(cfg.Reuse.Secret))
	}
	return a
}

// Close lets the requests that wait go to the provider, and forgets all answers.
func (a *Answers) Close() {
	a.mu.Lock()
	a.closed = true
	a.flights.endAll()
	a.store.removeAll(func(*entry) bool { return true })
	a.mu.Unlock()
	a.provider.close()
}

// Stats are counts since the start, and the current state.
type Stats struct {
	Made         uint64 // calls to the provider that it answered
	Saved        uint64 // calls that weren't made
	SharedErrors uint64 // shared answers that couldn't be decrypted; Shared counts its own errors
	Entries      int    // answers that are held in memory
	Bytes        int    // of these, and of what is noted about other requests
	Waiting      int    // requests that wait for another's answer
	Pending      int    // requests at the provider whose answers may be held
}

// Stats returns the current ones.
func (a *Answers) Stats() Stats {
	now := a.o.Now()
	s := Stats{Made: a.made.Load(), Saved: a.saved.Load(), SharedErrors: a.sharedErrors.Load()}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(a.pending.sweep(now), now)
	s.Entries = a.store.answers()
	_, s.Bytes = a.store.size()
	s.Waiting, s.Pending = a.flights.waiting, a.pending.byID.Len()
	return s
}

// forget lets others lead for requests that nobody heard of. a.mu must be held.
func (a *Answers) forget(forgotten []*pending, now time.Time) {
	for _, p := range forgotten {
		a.flights.fail(p.key, p.id, now)
	}
}

// currentMarks returns the purge marks. A purge drops answers at once and for good, even
// if its mark is lost later.
func (a *Answers) currentMarks(ctx context.Context) (map[string]string, error) {
	marks, err := a.o.Marks(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if sameMap(a.marks, marks) {
		return marks, nil
	}
	if !maps.Equal(a.marks, marks) {
		a.store.removeAll(func(e *entry) bool { return e.held != nil && e.stamp != stampOf(marks, e.held.ClientID) })
	}
	a.marks = marks
	return marks, nil
}

// sameMap reports whether a and b are one map, which is faster than comparing them.
func sameMap(a, b map[string]string) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}

// refuse drops e, which may not be given again. If it never was, its request may get
// another answer each time, so nobody waits for the next one.
func (a *Answers) refuse(e *entry) {
	now := a.o.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.store.peek(e.key) != e {
		return
	}
	a.store.remove(e)
	if !e.given {
		a.note(e.key, now)
	}
}

// note notes that an answer to the request can't be held, so its like don't wait for each
// other. What is held already stays, and so does a refusal. a.mu must be held.
func (a *Answers) note(k key, now time.Time) {
	until := now.Add(a.times.maxAge)
	if old := a.store.peek(k); old != nil && !old.asked.IsZero() && now.Before(old.until) {
		old.alone = until
		return
	}
	a.store.put(newNote(k, until), now)
}
