package rotation

import (
	"math"
	"testing"
	"time"
)

// TestPolicyCheck: with a negative time, or one that overflows, nothing would be
// waited for.
func TestPolicyCheck(t *testing.T) {
	for p, valid := range map[Policy]bool{
		DefaultPolicy:                  true,
		{}:                             true,
		{MaxAge: -time.Second}:         false,
		{TokenLife: -1}:                false,
		{Every: math.MinInt64}:         false,
		{MaxAge: math.MaxInt64}:        false,
		{TokenLife: math.MaxInt64 - 1}: false,
		{Every: maxWait + 1}:           false,
	} {
		if err := p.Check(); (err == nil) != valid {
			t.Errorf("Check of %+v = %v, want no error: %v", p, err, valid)
		}
	}
}

// TestRotate: each step is taken when it is due and not a second before. At a stage
// where the clock steps back, nothing is due, and no step is repeated or undone.
func TestRotate(t *testing.T) {
	f := newFile(t)
	rotate := func() (taken, next *Step) {
		t.Helper()
		err := f.take(func(s *Set) (err error) { taken, next, err = s.Rotate(DefaultPolicy, f.now); return err })
		must(t, err)
		return taken, next
	}
	_, next := rotate()
	for _, stage := range []struct{ verb, roles string }{
		{"add", "signing next"},
		{"promote", "signing former"},
		{"retire", "signing retired"},
		{"remove", "signing"},
		{"add", "signing next"},
	} {
		f.now = next.Due
		taken, following := rotate()
		if taken == nil || taken.Verb != stage.verb {
			t.Fatalf("took %v, want %s", taken, stage.verb)
		}
		f.want(nil, stage.roles)
		text, signing := string(f.text), f.set().Keys[0].ID
		for _, at := range []time.Time{
			following.Due.Add(-time.Second), next.Due.Add(-time.Second), next.Due.Add(-100 * 24 * time.Hour), start.Add(-40 * 365 * 24 * time.Hour),
		} {
			f.now = at
			if taken, again := rotate(); taken != nil || *again != *following {
				t.Fatalf("at %v after %s: took %v, next %v at %v; want no step, next %v at %v",
					at, stage.verb, taken, again, again.Due, following, following.Due)
			}
		}
		if string(f.text) != text || f.set().Keys[0].ID != signing {
			t.Fatalf("the clock stepped back after %s, and the file changed", stage.verb)
		}
		next = following
	}
}
