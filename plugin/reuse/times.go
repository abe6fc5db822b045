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

// fresh reports whether h may be given again at now while the provider works.
func (t times) fresh(h *enrich.Held, now time.Time) bool {
	return t.lives(h, now) && now.Sub(h.Signed) < t.freshFor(h)
}

// lives reports whether h may be given again at now if the provider fails. An answer
// from the future has a wrong time, so its age isn't known.
func (t times) lives(h *enrich.Held, now time.Time) bool {
	return h.Expires.Sub(now) > t.minRemaining && now.Sub(h.Signed) >= -t.leeway
}

func (t times) freshFor(h *enrich.Held) time.Duration {
	return min(t.maxAge, time.Duration(t.shareOfLife*float64(h.Expires.Sub(h.Signed))))
}

// until returns when h has no more use.
func (t times) until(h *enrich.Held) time.Time {
	end := h.Expires.Add(-t.minRemaining)
	if fresh := h.Signed.Add(t.freshFor(h)); !t.ifProviderFails && fresh.Before(end) {
		return fresh
	}
	return end
}

// stamp is what the purge marks of a client were.
type stamp struct{ all, client string }

// The names of purge marks.
const (
	markOfAll    = "all"
	markOfClient = "client:" // before a client id
)

func stampOf(marks map[string]string, clientID string) stamp {
	return stamp{marks[markOfAll], marks[markOfClient+clientID]}
}
