package reuse

import (
	"math"
	"testing"
	"time"
	"unsafe"

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

// TestAges: an answer is given until max_age, its share of the token's life, or
// min_remaining, whichever comes first.
func TestAges(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*schema.Reuse)
		life   time.Duration
		until  time.Duration
	}{
		"max_age":         {func(r *schema.Reuse) {}, time.Hour, 300 * time.Second},
		"share_of_life":   {func(r *schema.Reuse) { r.MinRemaining = 0 }, 100 * time.Second, 75 * time.Second},
		"min_remaining":   {func(r *schema.Reuse) {}, 200 * time.Second, 140 * time.Second},
		"the whole life":  {func(r *schema.Reuse) { r.ShareOfLife, r.MinRemaining = 1, 0 }, 10 * time.Second, 10 * time.Second},
		"a day":           {func(r *schema.Reuse) { r.MaxAge, r.ShareOfLife = 86400, 1 }, 48 * time.Hour, 24 * time.Hour},
		"for ever":        {func(r *schema.Reuse) { r.ShareOfLife = 1 }, math.MaxInt64, 300 * time.Second},
		"a short life":    {func(r *schema.Reuse) {}, 61 * time.Second, time.Second},
		"life for no one": {func(r *schema.Reuse) {}, 60 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(cfg *schema.Config) { test.change(&cfg.Reuse) }, func(t *testing.T, g *gateway) {
				g.life = test.life
				g.provider = func(*Request) reply { return reply{} }
				g.expect("the first", request(), enrich.Enriched, 1)
				if test.until > 0 {
					time.Sleep(test.until - time.Millisecond)
					g.expect("a millisecond before the end", request(), enrich.Reused, 1)
					time.Sleep(time.Millisecond)
				}
				g.expect("at the end", request(), enrich.Enriched, 2)
			})
		})
	}
}

// TestFromTheFuture: an answer that was asked for later than now, by more than the leeway,
// isn't given.
func TestFromTheFuture(t *testing.T) {
	limits := newTimes(&schema.Config{Leeway: 60, Reuse: schema.Reuse{MaxAge: 300, ShareOfLife: 1, IfProviderFails: true}})
	now := time.Now()
	for ahead, want := range map[time.Duration]bool{60 * time.Second: true, 60*time.Second + 1: false} {
		e := &entry{held: &enrich.Held{Expires: now.Add(time.Hour)}, asked: now.Add(ahead)}
		if fresh, lives := limits.fresh(e, now), limits.lives(e, now); fresh != want || lives != want {
			t.Errorf("%v ahead: got fresh %t, lives %t, want %t", ahead, fresh, lives, want)
		}
	}
}

// TestAgeCountsFromTheQuestion: the provider checked the credentials at some time before
// its answer came, so the time that it took makes the answer older.
func TestAgeCountsFromTheQuestion(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.provider = func(*Request) reply { return reply{takes: 50 * time.Second} }
		g.expect("the first", request(), enrich.Enriched, 1)
		time.Sleep(250*time.Second - time.Millisecond)
		g.expect("before max_age", request(), enrich.Reused, 1)
		time.Sleep(time.Millisecond)
		g.expect("at max_age", request(), enrich.Enriched, 2)
	})
}

// TestClockSetBack: an answer that seems to come from the future isn't given. The provider
// is asked.
func TestClockSetBack(t *testing.T) {
	in(t, nil, func(t *testing.T, g *gateway) {
		g.expect("the first", request(), enrich.Enriched, 1)
		g.o.Now = func() time.Time { return time.Now().Round(0).Add(-time.Hour) }
		g.expect("an hour back", request(), enrich.Enriched, 2)
	})
}

// TestAge: the wall's clock may be set back, and the monotonic one may stand still. The
// greater difference counts.
func TestAge(t *testing.T) {
	asked := time.Now()
	for name, now := range map[string]time.Time{
		"both":                       asked.Add(time.Minute),
		"the wall was set back":      monotonic(asked.Add(10*time.Second), 50*time.Second),
		"the monotonic clock stands": monotonic(asked.Add(time.Minute), -50*time.Second),
	} {
		if got := age(asked, now); got != time.Minute {
			t.Errorf("%s: got the age %v, want 1m0s", name, got)
		}
	}
}

// monotonic moves the monotonic clock in t alone, which package time can't do: it is the
// second word of a time.
func monotonic(t time.Time, by time.Duration) time.Time {
	(*struct{ wall, monotonic int64 })(unsafe.Pointer(&t)).monotonic += int64(by)
	return t
}
