package reuse

import (
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// TestLife: it ends at the very moment from which an answer isn't given again.
func TestLife(t *testing.T) {
	signed := time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		reuse        schema.Reuse
		life         time.Duration
		works, fails time.Duration // after the signature
	}{
		"max_age":       {schema.Reuse{MaxAge: 300, ShareOfLife: 0.75, MinRemaining: 60}, time.Hour, 5 * time.Minute, 5 * time.Minute},
		"share_of_life": {schema.Reuse{MaxAge: 300, ShareOfLife: 0.75, MinRemaining: 10}, 80 * time.Second, time.Minute, time.Minute},
		"min_remaining": {schema.Reuse{MaxAge: 300, ShareOfLife: 1, MinRemaining: 60}, 3 * time.Minute, 2 * time.Minute, 2 * time.Minute},
		"in an outage":  {schema.Reuse{MaxAge: 300, ShareOfLife: 0.75, MinRemaining: 60, IfProviderFails: true}, time.Hour, 5 * time.Minute, 59 * time.Minute},
		"only then":     {schema.Reuse{MaxAge: 300, MinRemaining: 60, IfProviderFails: true}, time.Hour, 0, 59 * time.Minute},
	} {
		cfg, h := &schema.Config{Reuse: tt.reuse}, &enrich.Held{Signed: signed, Expires: signed.Add(tt.life)}
		works, fails := Life(cfg, h)
		if works.Sub(signed) != tt.works || fails.Sub(signed) != tt.fails {
			t.Errorf("%s: got %v and %v after the signature, want %v and %v", name, works.Sub(signed), fails.Sub(signed), tt.works, tt.fails)
		}
		decides, e := newTimes(cfg), &entry{held: h, asked: signed}
		if tt.works > 0 && !decides.fresh(e, works.Add(-1)) || decides.fresh(e, works) {
			t.Errorf("%s: the answer's freshness doesn't end at %v", name, works)
		}
		if tt.reuse.IfProviderFails && (!decides.lives(e, fails.Add(-1)) || decides.lives(e, fails)) {
			t.Errorf("%s: the answer's life doesn't end at %v", name, fails)
		}
	}
}
