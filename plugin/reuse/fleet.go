package reuse

import (
	"context"
	"encoding/json"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

// sharedForm is what is sealed.
type sharedForm struct {
	All    string       `json:"all"` // the purge marks of its request
	Client string       `json:"client"`
	Asked  int64        `json:"asked"` // when the provider was asked or, of a refusal, when it came, in ms since 1970
	Held   *enrich.Held `json:"held"`  // null: the provider accepts the request no longer
}

// fleetSlot returns where the fleet keeps the answer, nil if answers aren't shared.
func (v *visit) fleetSlot() *slot {
	if v.fleet == nil || v.slot != nil {
		return v.slot
	}
	if s, err := newSlot(v.fleet.request(&v.o.Identity, &v.q)); err == nil {
		v.slot = &s
	}
	return v.slot
}

// ask returns the answer that another gateway shared. e is what this one had. All that
// wait get it, too.
func (v *visit) ask(ctx context.Context, e *entry) (enrich.Result, bool) {
	shared := v.shared(ctx)
	if shared != nil && shared.held == nil {
		v.drop(e, shared)
		return enrich.Result{}, false
	}
	if shared == nil || e != nil && e.held != nil && !shared.asked.After(e.asked) || !v.adopt(shared) {
		return enrich.Result{}, false
	}
	r, ok := v.give(ctx, shared, false, nil)
	if ok && v.leads {
		v.tell()
	}
	return r, ok
}

// adopt holds e, which another gateway held, if it may be of use.
func (v *visit) adopt(e *entry) bool {
	now := v.o.Now()
	if !v.times.lives(e, now) {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.closed && v.hold(e, now) == look
}

// drop drops e if it is what is held, and if the provider refused the request at another
// gateway after e was asked for. A refusal from the future counts as one of now, so that later
// answers are held.
func (v *visit) drop(e, refusal *entry) {
	now := v.o.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if e == nil || e.held == nil || v.closed || v.store.peek(e.key) != e || !refusal.refuses(e) {
		return
	}
	if refusal.until = e.until; refusal.asked.After(now) {
		refusal.asked = now
	}
	v.store.put(refusal, now)
}

// tell lets all that wait for this request look at what is held.
func (v *visit) tell() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.flights.end(v.key, look)
	v.leads = false
}

// redisTime is how long a request waits for a shared answer at most.
const redisTime = 100 * time.Millisecond

// shared returns what the fleet holds, nil if it is nothing that is of use.
func (v *visit) shared(ctx context.Context) *entry {
	s := v.fleetSlot()
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	value, err := v.o.Shared.SharedAnswer(ctx, s.name)
	if err != nil || value == nil {
		return nil
	}
	e, err := v.open(s, value)
	if err != nil {
		v.sharedErrors.Add(1)
		return nil
	}
	return e
}

// open returns the entry that is sealed in value.
func (v *visit) open(s *slot, value []byte) (*entry, error) {
	text, err := s.open(value)
	if err != nil {
		return nil, err
	}
	var form sharedForm
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, err
	}
	asked := v.clockOf(form.Asked)
	if form.Held == nil {
		return newRefusal(v.key, asked, asked), nil
	}
	return newEntry(v.key, form.Held, stamp{form.All, form.Client}, asked, v.times.until(form.Held, asked)), nil
}

// clockOf returns the time that another gateway's clock showed as ms since 1970. If that
// clock is a little ahead, it is now: nothing gets younger than it is. From then on, the
// time has this gateway's monotonic clock, so a clock that is set back changes no age.
func (v *visit) clockOf(ms int64) time.Time {
	now := v.o.Now()
	ahead := wallClock(now, time.UnixMilli(ms))
	if 0 < ahead && ahead <= v.times.leeway {
		return now
	}
	return now.Add(ahead)
}

// share gives the fleet the answer in e.
func (a *Answers) share(s *slot, e *entry) {
	a.shareForm(s, sharedForm{e.stamp.all, e.stamp.client, e.asked.UnixMilli(), e.held}, e.until)
}

// shareRefusal replaces e, which the fleet may have, because the provider doesn't accept
// its request any more.
func (a *Answers) shareRefusal(s *slot, e *entry) {
	a.shareForm(s, sharedForm{Asked: a.o.Now().UnixMilli()}, e.until)
}

func (a *Answers) shareForm(s *slot, form sharedForm, until time.Time) {
	life := until.Sub(a.o.Now())
	if s == nil || life < time.Millisecond {
		return
	}
	text, err := json.Marshal(form)
	if err != nil {
		return
	}
	value, err := s.seal(text)
	if err != nil {
		return
	}
	a.o.Shared.ShareAnswer(s.name, value, life)
}
