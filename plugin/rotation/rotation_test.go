package rotation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/jws"
)

var start = time.Unix(1_800_000_000, 0)

// file is a set in memory that is read again after each step, as a file is.
type file struct {
	t    testing.TB
	text []byte
	now  time.Time
}

func newFile(t testing.TB) *file {
	text, err := Generate("ec", start)
	must(t, err)
	return &file{t, text, start}
}

func (f *file) set() *Set {
	f.t.Helper()
	s, err := Parse(f.text, start)
	must(f.t, err)
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
	must(f.t, err)
	f.text = text
	return nil
}

func (f *file) add() (kid string) {
	f.t.Helper()
	err := f.take(func(s *Set) (err error) { kid, err = s.Add("", f.now); return err })
	must(f.t, err)
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
		t.Errorf("%s signs, want %s", got, second)
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
			t.Errorf("%s: %v, want %q", name, tt.err, tt.want)
		}
	}
	f.want(f.retire(first), "signing retired")
	if err := f.promote(first, true); err == nil {
		t.Error("a retired key signs again")
	}
	if err := f.retire(first); err == nil {
		t.Error("a key was retired twice")
	}
	f.want(f.remove(first, true), "signing")
	third := f.add()
	f.want(f.remove(third, false), "signing") // it never signed
}

func TestForeignKeys(t *testing.T) {
	one, err := jws.Generate("ec")
	must(t, err)
	two, err := jws.Generate("ed25519")
	must(t, err)
	inner := func(text []byte) string {
		_, rest, _ := strings.Cut(string(text), "[")
		return rest[:strings.LastIndex(rest, "]")]
	}
	f := &file{t, []byte(`{"keys":[` + inner(one) + "," + inner(two) + `],"x":1}`), start.Add(time.Second)}
	f.want(nil, "signing former") // nothing is known, so it may have signed
	other := f.set().Keys[1].ID
	if err := f.remove(other, false); err == nil {
		t.Error("removed, though tokens that it signed may not have expired")
	}
	if err := f.promote(other, false); err == nil {
		t.Error("promoted, though it may have signed before")
	}
	for _, step := range f.set().Schedule(DefaultPolicy) {
		if step.Kid == other {
			t.Errorf("%s of a key that another tool added is scheduled", step)
		}
	}
	f.add()
	if !strings.Contains(string(f.text), `"x": 1`) {
		t.Errorf("a foreign member is lost: %s", f.text)
	}
}

// must ends the test if err isn't nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
