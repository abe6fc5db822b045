//go:build pkcs11

package pkcs11

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"m2m-token-enricher/plugin/jws"
)

// TestTokenSigns: the published set verifies what a key in a token signed.
func TestTokenSigns(t *testing.T) {
	h := newSoftHSM(t)
	for kind, alg := range map[string]string{"rsa": "RS256", "ec": "ES256"} {
		t.Run(alg, func(t *testing.T) {
			h.generate(kind, kind, "\x01")
			s := h.source(kind)
			ring := read(t, s)
			if ring.Algorithm() != alg {
				t.Errorf("Algorithm = %s, want %s", ring.Algorithm(), alg)
			}
			for range 20 { // r and s of ES256 are of any length
				checkSigns(t, ring)
			}
			var all sync.WaitGroup
			for range 4 * maxSessions { // more than there are sessions
				all.Go(func() {
					if _, err := ring.Sign(t.Context(), nil, []byte("{}")); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if again := read(t, s); again != ring {
				t.Error("the same keys made another ring")
			}
		})
	}
}

// TestKeyFileOfToken: a key file may be a PKCS #11 URI.
func TestKeyFileOfToken(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	ring, err := jws.NewKeyFile(h.uri("signing"), "", time.Now).Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkSigns(t, ring)
}

// TestTokenSignsPS256: so it does for PS256.
func TestTokenSignsPS256(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("rsa", "signing", "\x01")
	h.use(func(context *crypto11.Context) error {
		pair, err := context.FindKeyPair(nil, []byte("signing"))
		h.must(err)
		ring, err := jws.NewRing(jws.Key{Signer: pair, Algorithm: "PS256"})
		h.must(err)
		checkSigns(t, ring)
		return nil
	})
}

// TestTokenKeepsPrivateKey: the private value can't be read from the token.
func TestTokenKeepsPrivateKey(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("rsa", "signing", "\x01")
	h.generate("ec", "signing", "\x02")
	s := h.source("signing")
	read(t, s)
	keys, err := s.token.keys(s.uri)
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys = %v, %v, want two", keys, err)
	}
	for i, attribute := range []crypto11.AttributeType{crypto11.CkaPrivateExponent, crypto11.CkaValue} {
		value, err := s.token.context.GetAttribute(keys[i].Signer, attribute)
		if err != pkcs11.Error(pkcs11.CKR_ATTRIBUTE_SENSITIVE) {
			t.Errorf("the private value of key %d: %v, %v, want CKR_ATTRIBUTE_SENSITIVE", i+1, value, err)
		}
	}
}

// TestTokenRotation: a second pair is published at the next read, and signs when
// the configuration names it. Then the first may be deleted.
func TestTokenRotation(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	h.generate("ec", "other", "\x00")
	s := h.source("signing")
	first := read(t, s).KeyID()
	wantKeys(t, read(t, s), first)
	h.generate("rsa", "signing", "\x02")
	both := kids(read(t, s))
	if len(both) != 2 || both[0] != first {
		t.Fatalf("the ring has the keys %q, want %s and another", both, first)
	}
	promoted := open(strings.Replace(h.uri("signing"), "?", ";id=%02?", 1))
	wantKeys(t, read(t, promoted), both[1], first)
	checkSigns(t, read(t, promoted))
	h.remove("signing", "\x01")
	wantKeys(t, read(t, promoted), both[1])
}

// TestTokenOfABadKey: an unusable key pair makes no ring, and the previous ring
// still signs.
func TestTokenOfABadKey(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	s := h.source("signing")
	ring := read(t, s)
	h.generate("weak", "signing", "\x02")
	for range 2 {
		wantError(t, s, "key 2: an RSA key of 1024 bits is too weak")
	}
	checkSigns(t, ring)
	h.remove("signing", "\x02")
	h.generate("ec", "signing", "\x01")
	wantError(t, s, "two key pairs with the label")
	checkSigns(t, ring)
}

func BenchmarkTokenSign(b *testing.B) {
	h := newSoftHSM(b)
	for _, kind := range []string{"ec", "rsa"} {
		h.generate(kind, kind, "\x01")
		ring := read(b, h.source(kind))
		b.Run(ring.Algorithm(), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := ring.Sign(b.Context(), nil, []byte("{}")); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
