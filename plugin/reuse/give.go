package reuse

import (
	"context"
	"errors"

	"m2m-token-enricher/plugin/enrich"
)

// How the provider fails, for the operator.
var (
	errSilent = errors.New("the provider gives no sign of life, or its Retry-After hasn't passed yet")
	errSlow   = errors.New("the provider didn't answer the same request in time")
	errFailed = errors.New("the provider answered the same request with 5xx or 429")
)

// give returns the answer in e if it may be given again now. failing says how the
// provider fails; if it is nil, the provider is asked for a sign of life.
func (v *visit) give(ctx context.Context, e *entry, settled bool, failing error) (enrich.Result, bool) {
	if e == nil || e.held == nil {
		return enrich.Result{}, false
	}
	switch now := v.o.Now(); {
	case v.times.fresh(e, now):
		return v.again(ctx, e, settled)
	case !v.times.ifProviderFails || !v.times.lives(e, now):
		return enrich.Result{}, false
	}
	if failing == nil {
		if failing = errSilent; v.provider.alive(ctx) || v.refresh(ctx) != nil {
			return enrich.Result{}, false
		}
	}
	r, ok := v.again(ctx, e, settled)
	if !ok {
		return r, false
	}
	return r.InOutage(failing), true
}

// giveOld returns an answer of the store, also an old one, because the provider fails.
func (v *visit) giveOld(ctx context.Context, failing error) (enrich.Result, bool) {
	e, settled := v.peek()
	return v.give(ctx, e, settled, failing)
}

// again returns the answer in e if the purge marks, the records and the keys are as they
// were. If they aren't, e is dropped. If that can't be known now, it stays.
func (v *visit) again(ctx context.Context, e *entry, settled bool) (enrich.Result, bool) {
	if e.stamp != stampOf(v.marks, e.held.ClientID) {
		v.refuse(e)
		return enrich.Result{}, false
	}
	r, err := v.o.Again(ctx, e.held, v.ip)
	if err != nil {
		if ctx.Err() == nil && !enrich.Unknown(err) {
			v.refuse(e)
		}
		return enrich.Result{}, false
	}
	if !v.times.lives(e, v.o.Now()) || !v.use(e, settled) { // Again took its time
		return enrich.Result{}, false
	}
	return r, true
}

// use notes that e is given again, unless it was purged or refused while the records were
// read. An answer that only made room for another one may be given.
func (v *visit) use(e *entry, settled bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !sameMap(v.Answers.marks, v.marks) && e.stamp != stampOf(v.Answers.marks, e.held.ClientID) {
		return false
	}
	if now := v.store.peek(e.key); now != nil && now.refuses(e) {
		return false
	}
	if !settled {
		v.store.use(e)
	}
	return true
}

// refresh gets the purge marks after a wait. With an error, v has those from before.
func (v *visit) refresh(ctx context.Context) error {
	marks, err := v.currentMarks(ctx)
	if err == nil {
		v.marks = marks
	}
	return err
}
