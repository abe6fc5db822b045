package reuse_test

import (
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

// fail reports a broken rule, unless enough are.
func (w *world) fail(format string, args ...any) {
	if w.failures.Add(1) <= 3 {
		w.t.Errorf("%s: %s", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
	}
}

// given is a request at a process and what was known when it came.
type given struct {
	process *process
	q       request
	call    call
	arrived time.Time // in access
	begin   time.Time // of the phase
	asked   time.Time // when it went to the provider
	purged  time.Time // when the last purge was that the process must know of
	owed    bool      // the process must have its answer
}

// held is the good answer that a process got to the last question for a request.
type held struct {
	asked, signed, expires time.Time
	plan, keyID            string
}

// begin records what is known as q arrives.
func (w *world) begin(p *process, q request) *given {
	g := &given{process: p, q: q, arrived: time.Now(), begin: time.Now(), call: call{p, q.text(p.identity)}}
	g.purged = w.knownPurge(p, q.client.name)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts.requests++
	h, ok := w.held[g.call]
	g.owed = ok && !w.small && !q.Bypass && w.usable(h, g)
	if g.owed {
		w.counts.owed++
	}
	return g
}

// usable reports whether h must be given again now, with a second to spare. The caller
// holds mu.
func (w *world) usable(h held, g *given) bool {
	now := time.Now().Add(time.Second)
	plan, state := w.records.now(g.q.client.name)
	return now.Sub(h.asked) < w.maxAge && h.expires.Sub(now) > w.least &&
		now.Before(h.signed.Add(time.Duration(w.share*float64(h.expires.Sub(h.signed))))) &&
		h.keyID == w.keyID.now() && h.plan == plan && state == "false" &&
		w.purged["all"].Before(h.asked.Add(-marksTTL)) && w.purged["client:"+g.q.client.name].Before(h.asked.Add(-marksTTL)) &&
		!w.redis.wasAway(h.asked.Add(-marksTTL))
}

// knownPurge returns when the last purge was that p must know of: it saw it, or it
// happened long enough ago.
func (w *world) knownPurge(p *process, client string) time.Time {
	at := p.purgedAt(client)
	if w.redis.wasAway(time.Now()) {
		return at
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, field := range []string{"all", "client:" + client} {
		if one := w.purged[field]; time.Since(one) > marksTTL && one.After(at) {
			at = one
		}
	}
	return at
}

// found checks what Find or Instead gave.
func (w *world) found(g *given, r enrich.Result, ok bool) {
	if took := time.Since(g.begin); took > modelTimeout {
		w.fail("a request waited for %v, want %v at most", took, modelTimeout)
	}
	if ok {
		if err := w.check(g, r); err != nil {
			w.fail("%s for %q: %v", r.Outcome, g.call.request, err)
		}
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if h, held := w.held[g.call]; held && g.owed && w.usable(h, g) {
		w.fail("asked the provider again for %q, which it answered at %v", g.call.request, h.signed)
	}
	delete(w.held, g.call) // it may have been dropped
}

// left checks that the request may go to the provider beside those under way: while
// nothing fails, the same requests wait for one.
func (w *world) left(g *given) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts.calls++
	first, busy := w.pending[g.call]
	_, final := w.final[g.call]
	if w.calm && busy && !final && !g.q.Bypass && !g.q.inQuery && g.q.client.kind == usual && time.Since(first) < modelTimeout/2 {
		w.fail("a second call for %q, the first left at %v", g.call.request, first)
	}
	g.asked = time.Now()
	w.pending[g.call] = g.asked
}

// returned records what became of the call of g. p is the process of its response
// phase, nil if there is none.
func (w *world) returned(g *given, p *process, status int, r enrich.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p != nil {
		delete(w.pending, g.call)
	}
	if p != g.call.process || g.q.changed {
		return
	}
	if status >= 400 && status < 500 && status != 429 {
		w.final[g.call] = time.Now()
		delete(w.held, g.call)
	}
	if r.Outcome != enrich.Enriched || g.q.client.kind != usual || g.q.inQuery || g.q.Bypass {
		return
	}
	token, _, err := readToken(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	if !g.asked.Before(w.newest[g.call]) {
		w.newest[g.call] = g.asked
		w.held[g.call] = held{g.asked, time.Now(), time.Unix(token.Expires, 0), token.Plan, token.KeyID}
	}
}

// check returns which rule an answer that is given again breaks.
func (w *world) check(g *given, r enrich.Result) error {
	token, expiresIn, err := readToken(r.Body)
	switch {
	case err != nil:
		return err
	case r.Action != enrich.Replace || r.Status != 200:
		return fmt.Errorf("the action is %v with status %d", r.Action, r.Status)
	}
	w.provider.mu.Lock()
	issued := w.provider.issues[token.TokenID]
	w.provider.mu.Unlock()
	now := time.Now()
	left := issued.expires.Sub(now)
	switch {
	case issued.request != g.call.request:
		return fmt.Errorf("the provider issued it for %s", issued.request)
	case g.q.client.kind != usual && g.q.client.kind != brief, g.q.Bypass, g.q.inQuery:
		return errors.New("its like may never be given again")
	case left <= w.least:
		return fmt.Errorf("it lives only %v", left)
	case expiresIn < 0 || time.Duration(expiresIn)*time.Second > left+time.Second:
		return fmt.Errorf("expires_in is %d, but it lives %v", expiresIn, left)
	}
	return errors.Join(w.checkAge(g, r, issued), w.checkState(g, token, issued))
}

// checkAge: the provider accepted the credentials within max_age or, in an outage, since
// it took them back.
func (w *world) checkAge(g *given, r enrich.Result, issued *issue) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	age := time.Since(issued.at)
	if final := w.final[g.call]; issued.at.Before(final) && final.Before(g.begin) {
		return fmt.Errorf("the provider answered otherwise since, at %v", final)
	}
	switch r.Outcome {
	case enrich.Reused:
		w.counts.reused++
		if life := issued.expires.Sub(issued.at); age > w.maxAge || age > time.Duration(w.share*float64(life))+issued.answered.Sub(issued.at) {
			return fmt.Errorf("its age is %v", age)
		}
		return nil
	case enrich.ReusedInOutage:
		w.counts.outage++
		if !w.outages {
			return errors.New("if_provider_fails is off")
		}
		return w.checkOutage(g)
	}
	return errors.New("a wrong outcome")
}

// checkOutage: the provider failed a moment ago, asked to be left alone, or let the same
// request wait.
func (w *world) checkOutage(g *given) error {
	w.provider.mu.Lock()
	defer w.provider.mu.Unlock()
	failed := w.provider.mode.was(g.arrived.Add(-5*time.Second), func(mode string) bool { return mode != "ok" })
	if !failed && time.Since(g.arrived) < modelTimeout/2 && time.Now().After(w.provider.pausedUntil) {
		return errors.New("the provider works")
	}
	return nil
}

// checkState: records, keys, marks and configuration are those of a moment since the
// request came.
func (w *world) checkState(g *given, token modelToken, issued *issue) error {
	w.mu.Lock()
	signs := w.keyID.was(g.begin, func(keyID string) bool { return keyID == token.KeyID })
	w.mu.Unlock()
	w.records.mu.Lock()
	plan, state := w.records.of(g.q.client.name)
	planned := plan.was(g.begin, func(value string) bool { return value == token.Plan })
	allowed := state.was(g.begin, func(value string) bool { return value == "false" })
	w.records.mu.Unlock()
	switch {
	case !signs:
		return fmt.Errorf("%s doesn't sign", token.KeyID)
	case !planned:
		return fmt.Errorf("the plan isn't %s", token.Plan)
	case !allowed:
		return errors.New("the organization is suspended, or Redis is away")
	case issued.at.Before(g.purged):
		return fmt.Errorf("it was purged at %v", g.purged)
	}
	return nil
}
