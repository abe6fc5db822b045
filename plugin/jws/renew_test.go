package jws

import (
	"errors"
	"testing"
	"time"
)

// TestWrongSignaturesRenewOnce: tokens with a wrong signature under a known kid
// make one fetch in ten seconds together. If it fails, the cached keys stay.
func TestWrongSignaturesRenewOnce(t *testing.T) {
	s, now, p := cached(t)
	v := NewVerifier(issuer, asymmetric, time.Hour, p, now.Now)
	wrong := sign(t, "RS256", otherRSA(), accepted, claims(""))
	good := sign(t, "RS256", rsaKey(), accepted, claims(""))
	s.answers(status(503, ""))
	for _, hits := range []int64{2, 2, 3} {
		together(50, func() {
			if _, err := v.Verify(t.Context(), wrong); !errors.Is(err, ErrUntrusted) {
				t.Errorf("the wrong signature: Verify = %v, want ErrUntrusted", err)
			}
			if _, err := v.Verify(t.Context(), good); err != nil {
				t.Errorf("the right signature: Verify = %v, want nil", err)
			}
		})
		s.wantHits(t, hits)
		now.advance(renewInterval / 2)
	}
}

// TestNewKeyUnderAnOldKid: a provider that replaces a key and keeps its kid is
// trusted at once.
func TestNewKeyUnderAnOldKid(t *testing.T) {
	s, now, p := cached(t)
	s.answers(text(set(t, public("k1", otherRSA()))))
	v := NewVerifier(issuer, asymmetric, time.Hour, p, now.Now)
	if _, err := v.Verify(t.Context(), sign(t, "RS256", otherRSA(), accepted, claims(""))); err != nil {
		t.Errorf("the new key's token: Verify = %v, want nil", err)
	}
	if _, err := v.Verify(t.Context(), sign(t, "RS256", rsaKey(), accepted, claims(""))); !errors.Is(err, ErrUntrusted) {
		t.Errorf("the old key's token: Verify = %v, want ErrUntrusted", err)
	}
	s.wantHits(t, 2)
}
