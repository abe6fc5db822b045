package rotation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/jws"
)

var start = time.Unix(1_800_000_000, 0)

// file is a set in memory that is read anew after each step, as a file is.
type file struct {
	t    testing.TB
	text []byte
	now  time.Time
}

func newFile(t testing.TB) *file {
	text, err := Generate("ec", start)
	if err != nil {
		t.Fatal(err)
	}
	return &file{t, text, start}
}

func (f *file) set() *Set {
	f.t.Helper()
	s, err := Parse(f.text, start)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// take takes a step and keeps its result unless it fails.
func (f *file) take(step func(*Set) error) error {
	f.t.Helper()
	s := f.set()
	if err := step(s); err != nil {
		return err
	}
	text, err := s.Text()
	if err != nil {
		f.t.Fatal(err)
	}
	f.text = text
	return nil
}

func (f *file) add() (kid string) {
	f.t.Helper()
	err := f.take(func(s *Set) (err error) { kid, err = s.Add("", f.now); return err })
	if err != nil {
		f.t.Fatal(err)
	}
	return kid
}

func (f *file) promote(kid string, force bool) error {
	return f.take(func(s *Set) error { return s.Promote(kid, DefaultPolicy, force, f.now) })
}

func (f *file) retire(kid string) error {
	return f.take(func(s *Set) error { return s.Retire(kid, f.now) })
}

func (f *file) remove(kid string, force bool) error {
	return f.take(func(s *Set) error { return s.Remove(kid, DefaultPolicy, force, f.now) })
}

func (f *file) roles() string {
	var roles []string
	for _, k := range f.set().Keys {
		roles = append(roles, string(k.Role))
	}
	return strings.Join(roles, " ")
}

func (f *file) want(err error, roles string) {
	f.t.Helper()
	if err != nil || f.roles() != roles {
		f.t.Fatalf("roles %q, want %q: %v", f.roles(), roles, err)
	}
}

func wantEarly(t testing.TB, err error, in time.Duration) {
	t.Helper()
	var early *TooEarlyError
	if !errors.As(err, &early) || early.In != in {
		t.Fatalf("got %v, want too early by %v", err, in)
	}
}

func TestALife(t *testing.T) {
	f := newFile(t)
	first := f.set().Keys[0].ID
	second := f.add()
	f.want(nil, "signing next")

	const published = 5*time.Minute + propagation
	wantEarly(t, f.promote(second, false), published)
	f.now = f.now.Add(published - time.Second)
	wantEarly(t, f.promote(second, false), time.Second)
	f.now = f.now.Add(time.Second)
	f.want(f.promote(second, false), "signing former")
	if got := f.set().Keys[0].ID; got != second {
		t.Errorf("%s signs", got)
	}

	const forgotten = propagation + 24*time.Hour + leeway
	wantEarly(t, f.remove(first, false), forgotten)
	f.want(f.retire(first), "signing retired")
	if strings.Count(string(f.text), `"d":`) != 1 {
		t.Error("the private part is still there")
	}
	f.now = f.now.Add(forgotten - time.Second)
	wantEarly(t, f.remove(first, false), time.Second)
	f.now = f.now.Add(time.Second)
	f.want(f.remove(first, false), "signing")
}

func TestRefused(t *testing.T) {
	f := newFile(t)
	first := f.set().Keys[0].ID
	second := f.add()
	f.want(f.promote(second, true), "signing former")
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"promote what signs":        {f.promote(second, true), "it signs already"},
		"promote what signed":       {f.promote(first, false), "must not sign again"},
		"promote nothing":           {f.promote("none", true), "no key none"},
		"retire what signs":         {f.retire(second), "it signs"},
		"remove what signs":         {f.remove(second, true), "it signs"},
		"remove what signed so far": {f.remove(first, false), "tokens that the key signed may not have expired"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v", name, tt.err)
		}
	}
	f.want(f.retire(first), "signing retired")
	if err := f.promote(first, true); err == nil {
		t.Error("a retired key came back to life")
	}
	if err := f.retire(first); err == nil {
		t.Error("a key was retired twice")
	}
	f.want(f.remove(first, true), "signing")
	third := f.add()
	f.want(f.remove(third, false), "signing") // it never signed
}

// TestClockStepsBack: at each stage nothing becomes due by it, and no noted
// time is before one that was noted.
func TestClockStepsBack(t *testing.T) {
	f := newFile(t)
	first, second := f.set().Keys[0].ID, f.add()
	f.now = start.Add(-24 * time.Hour)
	if err := f.promote(second, false); err == nil {
		t.Error("promoted")
	}
	f.now = start.Add(time.Hour)
	f.want(f.promote(second, false), "signing former")
	until := f.set().Keys[1].SignedUntil

	f.now = start.Add(-24 * time.Hour)
	if err := f.remove(first, false); err == nil {
		t.Error("removed")
	}
	f.want(f.retire(first), "signing retired")
	if got := f.set().Keys[1].Retired; got.Before(until) {
		t.Errorf("retired at %v, before it ended to sign", got)
	}
	third := f.add()
	f.want(f.promote(third, true), "signing former retired")
	if got := f.set().Keys[1].SignedUntil; got.Before(until) {
		t.Errorf("signed until %v, before it began", got)
	}
}

func TestRotate(t *testing.T) {
	f := newFile(t)
	rotate := func(want string, next string) {
		t.Helper()
		var taken, following *Step
		err := f.take(func(s *Set) (err error) { taken, following, err = s.Rotate(DefaultPolicy, f.now); return err })
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if taken != nil {
			got = taken.Verb
		}
		if got != want || following.Verb != next {
			t.Fatalf("took %q, next %s at %v; want %q, %s", got, following, following.Due, want, next)
		}
		f.now = following.Due.Add(-time.Second)
		if taken, _, err := f.set().Rotate(DefaultPolicy, f.now); err != nil || taken != nil {
			t.Fatalf("took %v a second early: %v", taken, err)
		}
		f.now = following.Due
	}
	rotate("", "add")
	rotate("add", "promote")
	rotate("promote", "retire")
	rotate("retire", "remove")
	rotate("remove", "add")
	rotate("add", "promote")
	f.want(nil, "signing next")
}

func TestForeignKeys(t *testing.T) {
	one, err := jws.Generate("ec")
	if err != nil {
		t.Fatal(err)
	}
	two, err := jws.Generate("ed25519")
	if err != nil {
		t.Fatal(err)
	}
	inner := func(text []byte) string {
		_, rest, _ := strings.Cut(string(text), "[")
		return rest[:strings.LastIndex(rest, "]")]
	}
	f := &file{t, []byte(`{"keys":[` + inner(one) + "," + inner(two) + `],"x":1}`), start.Add(time.Second)}
	f.want(nil, "signing former") // nothing is known, so it may have signed
	other := f.set().Keys[1].ID
	if err := f.remove(other, false); err == nil {
		t.Error("removed, though tokens that it signed may be alive")
	}
	if err := f.promote(other, false); err == nil {
		t.Error("promoted, though it may have signed before")
	}
	for _, step := range f.set().Schedule(DefaultPolicy) {
		if step.Kid == other {
			t.Errorf("%s of a key that another tool put in is scheduled", step)
		}
	}
	f.add()
	if !strings.Contains(string(f.text), `"x": 1`) {
		t.Errorf("a foreign member is lost: %s", f.text)
	}
}
