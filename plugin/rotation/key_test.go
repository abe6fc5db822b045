package rotation

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// edit changes the file as somebody does by hand or another tool.
func (f *file) edit(pattern, replacement string) {
	f.t.Helper()
	edited := regexp.MustCompile(pattern).ReplaceAllString(string(f.text), replacement)
	if edited == string(f.text) {
		f.t.Fatalf("nothing like %s in the file", pattern)
	}
	f.text = []byte(edited)
}

// moveLastFirst does by hand what promote is for.
func (f *file) moveLastFirst() {
	f.t.Helper()
	s := f.set()
	last := len(s.Keys) - 1
	s.Keys = append([]Key{s.Keys[last]}, s.Keys[:last]...)
	text, err := s.Text()
	must(f.t, err)
	f.text = text
}

// TestByteOrderMark: a file that an editor began with a byte order mark is read.
func TestByteOrderMark(t *testing.T) {
	f := newFile(t)
	want := f.set().Keys[0].ID
	f.text = append([]byte("\ufeff"), f.text...)
	if s := f.set(); s.Keys[0].ID != want {
		t.Errorf("got the key %s, want %s", s.Keys[0].ID, want)
	}
	f.text = append([]byte("\ufeff"), f.text...)
	if _, err := Parse(f.text, start); err == nil {
		t.Error("a file with two byte order marks is read, but gateways refuse it")
	}
}

// TestUnknownTimes: an invalid time never means "never signed".
func TestUnknownTimes(t *testing.T) {
	for _, value := range []string{`"1800000000"`, "1.8e9", "1800000000.5", "0", "-1", "null", "true", "9223372036854775807", "253402300800"} {
		for _, member := range []string{createdMember, signingMember} {
			f := newFile(t)
			f.edit(`"`+member+`": \d+`, `"`+member+`": `+value)
			if _, err := Parse(f.text, start); err == nil || !strings.Contains(err.Error(), member+" must be a whole number of Unix seconds") {
				t.Errorf("Parse with %s %s = %v, want that it isn't a time", member, value, err)
			}
		}
	}
}

// TestMovedByHand: a key that was moved from the first place by hand signed until
// the file changed, whenever it started.
func TestMovedByHand(t *testing.T) {
	const forgotten = propagation + 24*time.Hour + leeway
	f := newFile(t)
	first, second := f.set().Keys[0].ID, f.add()
	f.moveLastFirst()
	changed := start.Add(90 * 24 * time.Hour)
	s, err := Parse(f.text, changed)
	must(t, err)
	if s.Keys[0].ID != second || !s.Keys[0].Signing.Equal(changed) || !s.Keys[1].SignedUntil.Equal(changed) {
		t.Fatalf("keys %+v, want that %s signs since %v, and the other one signed until then", s.Keys, second, changed)
	}
	wantEarly(t, s.Remove(first, DefaultPolicy, false, changed), forgotten)
	if step := NextStep(s.Schedule(DefaultPolicy), changed); !step.Due.After(changed) {
		t.Errorf("%s is due at %v, want later than %v", step, step.Due, changed)
	}

	// The next step changes the file's time, so it records what was assumed.
	if _, err := s.Add("", changed.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if f.text, err = s.Text(); err != nil {
		t.Fatal(err)
	}
	if s, err = Parse(f.text, changed.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if !s.Keys[0].Signing.Equal(changed) || !s.Keys[1].SignedUntil.Equal(changed) {
		t.Errorf("keys %+v, want the same times after the next step", s.Keys)
	}
}

// TestMovedBackByHand: a key that signs for the second time has not stopped signing
// at the end of the first. The file's time may be older than that.
func TestMovedBackByHand(t *testing.T) {
	f := newFile(t)
	first, second := f.set().Keys[0].ID, f.add()
	f.now = start.Add(time.Hour)
	f.want(f.promote(second, false), "signing former")
	f.now = start.Add(2 * time.Hour)
	f.want(f.promote(first, true), "signing former")
	f.moveLastFirst()
	for changed, until := range map[time.Time]time.Time{
		start.Add(9 * time.Hour): start.Add(9 * time.Hour),
		start:                    start.Add(2 * time.Hour),
	} {
		s, err := Parse(f.text, changed)
		must(t, err)
		if got := s.Keys[1]; got.ID != first || !got.SignedUntil.Equal(until) {
			t.Errorf("changed %v: %s signed until %v, want %s until %v", changed, got.ID, got.SignedUntil, first, until)
		}
	}
}

// TestRetiredStaysSo: a retired key whose private part returns stays retired.
func TestRetiredStaysSo(t *testing.T) {
	f := newFile(t)
	kid := f.add()
	whole := string(f.text)
	f.now = start.Add(time.Minute)
	f.want(f.retire(kid), "signing retired")
	member := regexp.MustCompile(`"m2m_retired": \d+`).FindString(string(f.text))
	f.text = []byte(whole[:strings.LastIndex(whole, `"m2m_created"`)] + member + ",\n" + whole[strings.LastIndex(whole, `"m2m_created"`):])
	f.now = start.Add(100 * 24 * time.Hour)
	f.want(nil, "signing retired")
	if err := f.promote(kid, false); err == nil || !strings.Contains(err.Error(), "must not sign again") {
		t.Errorf("Promote = %v, want that it must not sign again", err)
	}
	for _, step := range f.set().Schedule(DefaultPolicy) {
		if step.Kid == kid {
			t.Errorf("%s is scheduled, want no step of this key", step)
		}
	}
}

// TestForeignFirstKey: the first step records since when the key signs. Otherwise
// its time would start again at each step.
func TestForeignFirstKey(t *testing.T) {
	f := newFile(t)
	f.edit(`,\s*"m2m_\w+": \d+`, "")
	s, err := Parse(f.text, start)
	must(t, err)
	f.now = start.Add(DefaultPolicy.Every)
	if taken, _, err := s.Rotate(DefaultPolicy, f.now); err != nil || taken == nil || taken.Verb != "add" {
		t.Fatalf("took %v, %v, want add", taken, err)
	}
	if !s.Keys[0].Signing.Equal(start) || s.Keys[0].Foreign {
		t.Errorf("key %+v, want one that signs since %v", s.Keys[0], start)
	}
}

func TestForeignMembersAreKept(t *testing.T) {
	f := newFile(t)
	const member = `"x-owner": {"name": "Zo\u00eb", "id": 9007199254740993}`
	f.edit(`"use": "sig"`, `"use": "sig", `+member)
	second := f.add()
	f.now = start.Add(time.Hour)
	f.want(f.promote(second, false), "signing former")
	f.want(f.retire(f.set().Keys[1].ID), "signing retired")
	kept := regexp.MustCompile(`\s+`).ReplaceAllString(string(f.text), " ")
	if !strings.Contains(kept, `"x-owner": { "name": "Zo\u00eb", "id": 9007199254740993 }`) {
		t.Errorf("got %s, want the other tool's member in it", f.text)
	}
}
