package rotation

import (
	"math"
	"testing"
	"time"
)

// TestPolicyCheck: a time below zero would take a wait away, and one that
// overflows would too.
func TestPolicyCheck(t *testing.T) {
	if err := DefaultPolicy.Check(); err != nil {
		t.Error(err)
	}
	if err := (Policy{}).Check(); err != nil {
		t.Error(err)
	}
	for name, p := range map[string]Policy{
		"max-age below zero":    {MaxAge: -time.Second},
		"token-life below zero": {TokenLife: -1},
		"every below zero":      {Every: math.MinInt64},
		"max-age overflows":     {MaxAge: math.MaxInt64},
		"token-life overflows":  {TokenLife: math.MaxInt64 - time.Duration(time.Second)},
		"every is too long":     {Every: maxWait + 1},
	} {
		if p.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestRotateWhenTheClockStepsBack: at each stage of a rotation nothing is due
// by a clock that stepped back, and what was done is neither repeated nor
// undone.
func TestRotateWhenTheClockStepsBack(t *testing.T) {
	f := newFile(t)
	rotate := func() (taken, next *Step) {
		t.Helper()
		err := f.take(func(s *Set) (err error) { taken, next, err = s.Rotate(DefaultPolicy, f.now); return err })
		if err != nil {
			t.Fatal(err)
		}
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
		for _, back := range []time.Duration{time.Second, time.Hour, 100 * 24 * time.Hour, 40 * 365 * 24 * time.Hour} {
			f.now = next.Due.Add(-back)
			if taken, again := rotate(); taken != nil || *again != *following {
				t.Fatalf("%v back after %s: took %v, next %v at %v; want %v at %v",
					back, stage.verb, taken, again, again.Due, following, following.Due)
			}
		}
		if string(f.text) != text || f.set().Keys[0].ID != signing {
			t.Fatalf("the clock stepped back after %s, and the file changed", stage.verb)
		}
		next = following
	}
}

// TestStepsAreNotedInOrder: by a clock that steps back before each step.
func TestStepsAreNotedInOrder(t *testing.T) {
	f := newFile(t)
	first := f.set().Keys[0].ID
	back := func() { f.now = f.now.Add(-30 * 24 * time.Hour) }
	back()
	second := f.add()
	back()
	f.want(f.promote(second, true), "signing former")
	back()
	f.want(f.retire(first), "signing retired")
	for _, k := range f.set().Keys {
		for what, at := range map[string]time.Time{"created": k.Created, "signing": k.Signing, "signed until": k.SignedUntil, "retired": k.Retired} {
			if !at.IsZero() && at.Before(start) {
				t.Errorf("%s: %s %v, before the first step", k.ID, what, at)
			}
		}
	}
}
