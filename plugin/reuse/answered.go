package reuse

import (
	"context"
	"crypto/hmac"
	"fmt"
	"net/http"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

// Instead is for the response phase when the provider answered 5xx or 429. It returns an
// answer that the same request got before and that still lives. retryAfter is the header.
// Answered follows all the same. It waits no longer than ctx.
func (a *Answers) Instead(ctx context.Context, id string, status int, retryAfter, ip string) (enrich.Result, bool) {
	if status != http.StatusTooManyRequests && status < http.StatusInternalServerError {
		return enrich.Result{}, false
	}
	a.provider.refused(status, retryAfter)
	k, ok := a.failed(id)
	if !ok || !a.times.ifProviderFails {
		return enrich.Result{}, false
	}
	v := &visit{Answers: a, ip: ip, key: k}
	if v.refresh(ctx) != nil {
		return enrich.Result{}, false
	}
	return v.giveOld(ctx, fmt.Errorf("the provider answered %d", status))
}

// failed notes that the provider failed to answer the request id, and returns its key.
func (a *Answers) failed(id string) (k key, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pending.get(id)
	if p == nil {
		return k, false
	}
	p.failed = true
	return p.key, true
}

// Answered is for the response phase of every exchange, whatever its result r.
// authorization and body are as this phase sees them. unfit is why the answer can't be
// given again, as far as the caller knows, such as a Set-Cookie.
func (a *Answers) Answered(id, authorization string, body []byte, r enrich.Result, unfit error) {
	a.made.Add(1)
	a.provider.answered()
	p := a.take(id)
	if p == nil {
		return
	}
	if e := a.learn(p, authorization, body, r, unfit); e != nil {
		a.share(p.slot, e)
	}
}

// take returns the request id, which is at the provider no longer.
func (a *Answers) take(id string) *pending {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending.take(id)
}

// learn gives those that wait for p their turn, and returns what is held now, nil if it
// is nothing.
func (a *Answers) learn(p *pending, authorization string, body []byte, r enrich.Result, unfit error) *entry {
	now := a.o.Now()
	next, e := goLead, (*entry)(nil)
	defer func() { a.conclude(p, e, next, now) }() // also after a panic
	next, e = a.judge(p, authorization, body, r, unfit, now)
	return e
}

// judge returns what the answer to p is for the requests that wait, and the entry if it
// may be held.
func (a *Answers) judge(p *pending, authorization string, body []byte, r enrich.Result, unfit error, now time.Time) (turn, *entry) {
	if p.failed || r.Failed() || r.Outcome == enrich.UpstreamError {
		return goLead, nil
	}
	seen := a.keys.credentials(authorization, body)
	held, err := a.held(r)
	if unfit != nil || err != nil || !hmac.Equal(p.seen[:], seen[:]) {
		return goAlone, nil
	}
	e := newEntry(p.key, held, stampOf(p.marks, held.ClientID), p.asked, a.times.until(held, p.asked))
	if !a.times.fresh(e, now) {
		return goAlone, nil
	}
	return look, e
}

// conclude gives those that wait for p their turn. The turn goLead means that p failed.
func (a *Answers) conclude(p *pending, e *entry, next turn, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if next == look {
		next = a.hold(e, now)
	}
	switch old := a.store.peek(p.key); {
	case next == goLead && p.failed && a.times.ifProviderFails && old != nil && old.held != nil && a.times.lives(old, now):
		next = lookOld
	case next == goAlone:
		a.note(p.key, now)
	}
	if next == goLead {
		a.flights.fail(p.key, p.id, now)
	} else {
		a.flights.end(p.key, next)
	}
}

// hold puts e into the store, unless that has a newer one. It returns what those do that
// wait for e. a.mu must be held.
func (a *Answers) hold(e *entry, now time.Time) turn {
	if e.stamp != stampOf(a.marks, e.held.ClientID) {
		return goLead // purged while the request was at the provider
	}
	if old := a.store.peek(e.key); old != nil && old.held != nil && old.asked.After(e.asked) {
		return look
	}
	if !a.store.put(e, now) {
		return goAlone
	}
	return look
}
