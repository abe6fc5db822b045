package reuse

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
)

func slotOf(t testing.TB, secret string, change func(*Request)) slot {
	t.Helper()
	var identity [sha256.Size]byte
	q := request()
	change(&q)
	s, err := newSlot(newAuthenticator([]byte(secret)).request(&identity, &q))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const fleetSecret = "a secret of the fleet"

// TestSealed: only the exact request with the fleet's secret opens what was sealed for
// it, and only if it is unchanged.
func TestSealed(t *testing.T) {
	same := func(*Request) {}
	one := slotOf(t, fleetSecret, same)
	text := []byte(`{"body":"eyJ"}`)
	value, err := one.seal(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := one.seal(text); bytes.Equal(again, value) {
		t.Error("sealed twice: got the same bytes, want another nonce")
	}
	if another := slotOf(t, fleetSecret, same); another != one {
		t.Error("another gateway: got another slot")
	}
	opened := func(s slot, value []byte) bool {
		got, err := s.open(value)
		return err == nil && bytes.Equal(got, text)
	}
	if !opened(one, value) {
		t.Error("as it was sealed: got no text")
	}
	renamed, rekeyed := one, one
	renamed.name = strings.ToLower(one.name) + "x"
	rekeyed.key[0] ^= 1
	for name, s := range map[string]slot{
		"another secret of the fleet":  slotOf(t, fleetSecret+"!", same),
		"another secret of the client": slotOf(t, fleetSecret, func(q *Request) { q.Authorization = "Basic YXBwOmd1ZXNz" }),
		"another host":                 slotOf(t, fleetSecret, func(q *Request) { q.Host = "x" }),
		"another name":                 renamed,
		"another key":                  rekeyed,
	} {
		if s.name == one.name && name != "another key" {
			t.Errorf("%s: got the same name", name)
		}
		if opened(s, value) {
			t.Errorf("%s: got the text", name)
		}
	}
	for name, changed := range map[string][]byte{
		"empty": nil, "cut": value[:len(value)-1], "longer": append(slices.Clone(value), 0), "a nonce alone": value[:12], "the text alone": text,
	} {
		if opened(one, changed) {
			t.Errorf("%s: got the text", name)
		}
	}
	for bit := range len(value) * 8 {
		changed := slices.Clone(value)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, err := one.open(changed); err == nil {
			t.Errorf("bit %d changed: got no error", bit)
		}
	}
}

// TestSealedShowsNothing: neither the name nor the value has a part of the request or
// of the answer.
func TestSealedShowsNothing(t *testing.T) {
	s := slotOf(t, fleetSecret, func(*Request) {})
	value, err := s.seal([]byte("the access token"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"the access", "YXBwOnNlY3JldA", "secret", fleetSecret} {
		if strings.Contains(s.name, secret) || bytes.Contains(value, []byte(secret)) {
			t.Errorf("the name or the value shows %q", secret)
		}
	}
}

// FuzzOpen: no value that wasn't sealed for the slot opens, whatever was done to one
// that was.
func FuzzOpen(f *testing.F) {
	s := slotOf(f, fleetSecret, func(*Request) {})
	value, err := s.seal([]byte("text"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, 0)
	f.Add([]byte{1}, 0)
	f.Add([]byte{}, -1)
	f.Add([]byte{0}, 1)
	f.Fuzz(func(t *testing.T, difference []byte, longer int) {
		changed := append(slices.Clone(value), make([]byte, min(max(longer, 0), 1000))...)
		changed = changed[:max(0, len(changed)+min(longer, 0))]
		for i := range min(len(difference), len(changed)) {
			changed[i] ^= difference[i]
		}
		got, err := s.open(changed)
		if bytes.Equal(changed, value) != (err == nil) {
			t.Errorf("opening %x: got %q, %v", changed, got, err)
		}
	})
}
