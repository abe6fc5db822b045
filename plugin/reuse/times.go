package reuse

import (
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// times decide by an answer's age and life whether it may be given again.
type times struct {
	maxAge, minRemaining, leeway time.Duration
	shareOfLife                  float64
	ifProviderFails              bool
}

func newTimes(cfg *schema.Config) times {
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	return times{
		maxAge: seconds(cfg.Reuse.MaxAge), minRemaining: seconds(cfg.Reuse.MinRemaining), leeway: seconds(cfg.Leeway),
		shareOfLife: cfg.Reuse.ShareOfLife, ifProviderFails: cfg.Reuse.IfProviderFails,
	}
}

// fresh reports whether the answer in e may be given again at now while the provider
// works.
func (t times) fresh(e *entry, now time.Time) bool {
	return t.lives(e, now) && age(e.asked, now) < t.freshFor(e.held, e.asked)
}

// lives reports whether the answer in e may be given again at now if the provider fails.
// An answer from the future has a wrong time, so its age isn't known.
func (t times) lives(e *entry, now time.Time) bool {
	return life(e.held, e.asked)-age(e.asked, now) > t.minRemaining && wallClock(e.asked, now) >= -t.leeway
}

// freshFor is how long after asked h may be given again.
func (t times) freshFor(h *enrich.Held, asked time.Time) time.Duration {
	return time.Duration(min(float64(t.maxAge), t.shareOfLife*float64(life(h, asked))))
}

// until returns when h, for which the provider was asked at asked, has no more use.
func (t times) until(h *enrich.Held, asked time.Time) time.Time {
	usable := life(h, asked) - t.minRemaining
	if !t.ifProviderFails {
		usable = min(usable, t.freshFor(h, asked))
	}
	return asked.Add(usable)
}

// life is how long the token in h lives after asked.
func life(h *enrich.Held, asked time.Time) time.Duration { return wallClock(asked, h.Expires) }

// age is the time since the provider was asked. It checked the credentials after that,
// but nobody knows when. The clock on the wall can be set back, and the monotonic one
// stops while the machine is suspended, so the greater difference counts.
func age(asked, now time.Time) time.Duration { return max(now.Sub(asked), wallClock(asked, now)) }

func wallClock(from, to time.Time) time.Duration { return to.Round(0).Sub(from.Round(0)) }

// Life returns until when h may be given again while the provider works, and while it
// fails, if the provider answered at once.
func Life(cfg *schema.Config, h *enrich.Held) (works, fails time.Time) {
	t := newTimes(cfg)
	fails = t.until(h, h.Signed)
	t.ifProviderFails = false
	return t.until(h, h.Signed), fails
}
