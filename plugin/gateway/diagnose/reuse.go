package diagnose

import (
	"errors"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/reuse"
	"m2m-token-enricher/schema"
)

// Reuse is whether the same request gets the same answer again. The request must have a
// client secret of its own, which an explanation doesn't know.
type Reuse struct {
	Seconds       int    `json:"seconds,omitempty"`           // for which it does
	OutageSeconds int    `json:"seconds_in_outage,omitempty"` // for which it does while the provider fails
	AtMost        bool   `json:"at_most,omitempty"`           // the token's life isn't known and may allow less
	WhyNot        string `json:"why_not,omitempty"`
}

// reuseOf judges the result of an exchange that enforces everybody. The life of an
// imagined token isn't known.
func reuseOf(cfg *schema.Config, result enrich.Result, imagined bool) Reuse {
	if !cfg.Reuse.Enabled {
		return Reuse{WhyNot: "reuse isn't enabled"}
	}
	if result.Outcome == enrich.Enriched && !cfg.Enforces(result.ClientID) {
		result.Action = enrich.Pass
	}
	held, err := result.Held()
	if err != nil {
		return Reuse{WhyNot: err.Error()}
	}
	if imagined {
		held = withLongestLife(cfg, held)
	}
	works, fails := reuse.Life(cfg, held)
	r := Reuse{Seconds: secondsTo(held.Signed, works), AtMost: imagined}
	if cfg.Reuse.IfProviderFails {
		r.OutageSeconds = secondsTo(held.Signed, fails)
	}
	if r.Seconds == 0 && r.OutageSeconds == 0 {
		return Reuse{WhyNot: errTooShort.Error()}
	}
	return r
}

var errTooShort = errors.New("the token's life is too short for reuse.share_of_life and reuse.min_remaining")

// AllRoutes is why a plugin that is on no route and on no service reuses nothing.
var AllRoutes = gateway.ErrAllRoutes.Error()

// OnAllRoutes returns r for such a plugin.
func (r Reuse) OnAllRoutes() Reuse {
	if r.WhyNot != "" {
		return r
	}
	return Reuse{WhyNot: AllRoutes}
}

// withLongestLife returns h with the longest life that cfg allows a token.
func withLongestLife(cfg *schema.Config, h *enrich.Held) *enrich.Held {
	const unlimited = 10 * 365 * 24 * time.Hour
	life := unlimited
	if ttl := cfg.Signing.MaxTTL; ttl > 0 {
		life = time.Duration(ttl) * time.Second
	}
	longest := *h
	longest.Expires = h.Signed.Add(life)
	return &longest
}

// secondsTo returns the whole seconds from one time to another, 0 if that is earlier.
func secondsTo(from, to time.Time) int { return max(0, int(to.Sub(from)/time.Second)) }
