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

// Answered is for the response phase of every exchange, whatever its result r. For an
// answer 429 or 5xx, Instead came before. authorization and body are as this phase sees
// them. unfit is why the answer can't be given again, as far as the caller knows, such as
// a Set-Cookie.
func (a *Answers) Answered(id, authorization string, body []byte, r enrich.Result, unfit error) {
	a.made.Add(1)
	a.provider.answered()
	p := a.take(id)
	if p == nil {
		return
	}
	now := a.o.Now()
	l := lesson{next: goLead} // also after a panic
	func() {
		defer func() { l = a.conclude(p, l, now) }()
		l = a.judge(p, authorization, body, r, unfit, now)
	}()
	switch {
	case l.held != nil:
		a.share(p.slot, l.held)
	case l.dropped != nil:
		a.shareRefusal(p.slot, l.dropped)
	}
}

// take returns the request id, which is at the provider no longer.
func (a *Answers) take(id string) *pending {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending.take(id)
}

// lesson is what an answer of the provider teaches.
type lesson struct {
	next    turn   // of the requests that wait; goLead if the answer is a failure
	held    *entry // nil if the answer can't be given again
	refused bool   // the provider doesn't accept the request any more
	dropped *entry // what was held before that
}

// judge returns what the answer to p teaches.
func (a *Answers) judge(p *pending, authorization string, body []byte, r enrich.Result, unfit error, now time.Time) lesson {
	if p.failed || r.Failed() || r.Outcome == enrich.UpstreamError {
		return lesson{next: goLead, refused: !p.failed && r.Outcome == enrich.UpstreamError}
	}
	seen := a.keys.credentials(authorization, body)
	held, err := a.held(r)
	if unfit != nil || err != nil || p.refused || !hmac.Equal(p.seen[:], seen[:]) {
		return lesson{next: goAlone}
	}
	e := newEntry(p.key, held, stampOf(p.marks, held.ClientID), p.asked, a.times.until(held, p.asked))
	switch {
	case a.times.fresh(e, now):
		return lesson{next: look, held: e}
	case a.times.ifProviderFails && a.times.lives(e, now): // of use in an outage alone
		return lesson{next: goAlone, held: e}
	}
	return lesson{next: goAlone}
}

// conclude learns l, and gives those that wait for p their turn. It returns what was
// held and dropped.
func (a *Answers) conclude(p *pending, l lesson, now time.Time) lesson {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return lesson{}
	}
	if l.refused {
		a.pending.refuse(p.key)
	}
	if l.held != nil {
		if next := a.hold(l.held, now); next != look {
			l.next = next
		}
	}
	old := a.store.peek(p.key)
	if l.held != old || l.held != nil && l.held.crowds { // one client can't fill Redis
		l.held = nil
	}
	switch living := old != nil && old.held != nil && a.times.lives(old, now); {
	case l.refused && living:
		a.store.put(newRefusal(p.key, now, old.until), now)
		l.dropped = old
	case p.failed && living && a.times.ifProviderFails:
		l.next = lookOld
	case l.next == goAlone:
		a.note(p.key, now)
	}
	if l.next == goLead {
		a.flights.fail(p.key, p.id, now)
	} else {
		a.flights.end(p.key, l.next)
	}
	return l
}

// hold puts e into the store, unless that has a newer one. It returns what those do that
// wait for e. a.mu must be held.
func (a *Answers) hold(e *entry, now time.Time) turn {
	if e.stamp != stampOf(a.marks, e.held.ClientID) {
		return goLead // purged while the request was at the provider
	}
	if old := a.store.peek(e.key); old != nil && old.asked.After(e.asked) {
		if old.held == nil {
			return goAlone // the provider refused the request since
		}
		return look
	}
	if !a.store.put(e, now) {
		return goAlone
	}
	return look
}
