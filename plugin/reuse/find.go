package reuse

import (
	"context"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

// visit is one request in the access phase. Not for concurrent use.
type visit struct {
	*Answers
	q     Request
	ip    string
	key   key
	ends  time.Time         // of its wait
	marks map[string]string // the purge marks as it knows them

	slot   *slot   // nil if it isn't known
	waiter *waiter // nil unless it waits
	leads  bool
}

// Find is for the access phase. It returns the answer, or false: then the request goes
// to the provider, and Answered follows. It waits no longer than ctx.
func (a *Answers) Find(ctx context.Context, q Request, ip string) (enrich.Result, bool) {
	if !q.eligible() {
		return enrich.Result{}, false
	}
	v, err := a.visit(ctx, q, ip)
	if err != nil { // without purge marks, nothing is given again or held
		return enrich.Result{}, false
	}
	defer v.end()
	r, ok := v.find(ctx)
	if ok {
		a.saved.Add(1)
	} else {
		v.depart()
	}
	return r, ok
}

// A request that waits leaves in this part of its time, at random, so that not all leave
// at once.
const firstToLeave, lastToLeave = 0.5, 0.95

func (a *Answers) visit(ctx context.Context, q Request, ip string) (*visit, error) {
	now, limit := a.o.Now(), a.timeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, deadline.Sub(now))
	}
	part := firstToLeave + (lastToLeave-firstToLeave)*a.o.Random()
	v := &visit{Answers: a, q: q, ip: ip, ends: now.Add(time.Duration(part * float64(limit)))}
	v.key = a.keys.request(&a.o.Identity, &v.q)
	return v, v.refresh(ctx)
}

// maxRounds is how often a request looks at an answer that was held while it looked at
// another one.
const maxRounds = 8

// find looks for an answer until the request has to go to the provider.
func (v *visit) find(ctx context.Context) (r enrich.Result, ok bool) {
	for n := 0; n < maxRounds && ctx.Err() == nil; n++ {
		e, settled := v.peek()
		if r, ok = v.give(ctx, e, settled, nil); ok {
			return r, true
		}
		next := v.join(e)
		if next == stay {
			next = v.wait(ctx)
			if v.refresh(ctx) != nil {
				return r, false
			}
		}
		switch next {
		case look:
			continue
		case goFirst:
			return v.ask(ctx, e)
		case lookOld:
			return v.giveOld(ctx, errFailed)
		case stay: // its time has passed
			return v.giveOld(ctx, errSlow)
		}
		return r, false
	}
	return r, false
}

// peek returns the entry of the request, and whether its use is noted already.
func (v *visit) peek() (e *entry, settled bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e = v.store.get(v.key)
	return e, e != nil && e.protected
}

// join returns what to do if e, which is all that was held, can't be given.
func (v *visit) join(e *entry) turn {
	now := v.o.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	held := v.store.peek(v.key)
	switch {
	case held != nil && held != e:
		return look
	case v.closed, v.flights.full(), held != nil && now.Before(held.alone):
		return goAlone
	case !v.o.Config.Reuse.Coalesce:
		return goFirst
	}
	if v.waiter = v.flights.join(v.key, v.q.ID, now); v.waiter != nil {
		return stay
	}
	v.leads = true
	return goFirst
}

// wait waits for the request's turn. It returns stay if none comes in time.
func (v *visit) wait(ctx context.Context) turn {
	timer := time.NewTimer(v.ends.Sub(v.o.Now()))
	defer timer.Stop()
	select {
	case next := <-v.waiter.turn:
		v.waiter, v.leads = nil, next == goLead
		return next
	case <-timer.C:
	case <-ctx.Done():
	}
	return stay
}

// depart remembers that the request goes to the provider. If its time to wait has
// passed, it leads from now on.
func (v *visit) depart() {
	p := &pending{id: v.q.ID, key: v.key, seen: v.keys.credentials(v.q.Authorization, v.q.Body), marks: v.marks, slot: v.fleetSlot(), asked: v.o.Now()}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	if v.waiter != nil {
		v.leads = v.leave() == stay || v.leads
	}
	if v.leads {
		v.flights.lead(v.key, p.id, p.asked)
	}
	v.leads = false
	v.forget(v.pending.add(p), p.asked)
}

// leave ends the request's wait. v.mu must be held.
func (v *visit) leave() turn {
	last := v.flights.cancel(v.key, v.waiter)
	v.waiter, v.leads = nil, last == goLead
	return last
}

// end lets the next request lead if this one leads and hasn't departed.
func (v *visit) end() {
	if v.waiter == nil && !v.leads {
		return
	}
	now := v.o.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiter != nil {
		v.leave()
	}
	if v.leads {
		v.flights.fail(v.key, v.q.ID, now)
	}
}
