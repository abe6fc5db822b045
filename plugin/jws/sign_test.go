package jws

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"testing"
)

// opaque is a key that is only a crypto.Signer, such as one in a device.
type opaque struct{ crypto.Signer }

// lying is a key that shows another's public key.
type lying struct {
	crypto.Signer
	public crypto.PublicKey
}

func (k lying) Public() crypto.PublicKey { return k.public }

// broken is a key that doesn't sign.
type broken struct{ crypto.Signer }

var errBroken = errors.New("device removed")

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errBroken }

func TestNewRing(t *testing.T) {
	tests := []struct {
		name, algorithm, want string
		signer                crypto.Signer
	}{
		{"RSA", "", "RS256", rsaKey()},
		{"RSA of RS256", "RS256", "RS256", rsaKey()},
		{"RSA of PS256", "PS256", "PS256", rsaKey()},
		{"EC", "", "ES256", ecKey()},
		{"Ed25519", "", "EdDSA", edKey()},
		{"Ed25519 of EdDSA", "EdDSA", "EdDSA", edKey()},
		{"Ed25519 by its own name", "Ed25519", "EdDSA", edKey()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ring, err := NewRing(Key{Signer: opaque{tt.signer}, Algorithm: tt.algorithm}, Key{Public: otherRSA().Public()})
			if err != nil {
				t.Fatal(err)
			}
			if ring.Algorithm() != tt.want {
				t.Errorf("Algorithm = %s, want %s", ring.Algorithm(), tt.want)
			}
			checkPublished(t, ring, thumbprints(t, tt.signer, otherRSA()))
			for range 20 { // r and s of ES256 are of any length
				checkSigns(t, ring, `"at+jwt"`)
			}
		})
	}
}

func TestNewRingRefuses(t *testing.T) {
	other := made(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tests := []struct {
		name, part string
		keys       []Key
	}{
		{"no keys", "0 keys", nil},
		{"nothing in a key", "key 1: its type is not supported", []Key{{}}},
		{"public key first", "key 1: it must be private", []Key{{Public: ecKey().Public()}, {Signer: rsaKey()}}},
		{"algorithm of another type", `key 1: its algorithm "ES256" is not supported`, []Key{{Signer: rsaKey(), Algorithm: "ES256"}}},
		{"parts of two keys", "key 1: its private part doesn't belong", []Key{{Signer: lying{ecKey(), other.Public()}}}},
		{"parts of two types", "key 1: it doesn't sign: not an ECDSA signature", []Key{{Signer: lying{rsaKey(), ecKey().Public()}}}},
		{"a key that doesn't sign, following", "key 2: it doesn't sign: device removed", []Key{{Signer: ecKey()}, {Signer: broken{rsaKey()}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ring, err := NewRing(tt.keys...)
			if err == nil || ring != nil {
				t.Fatalf("NewRing = %v, %v, want an error", ring, err)
			}
			if contains(err, tt.part) == "" {
				t.Errorf("NewRing = %q, want %q in it", err, tt.part)
			}
		})
	}
}

// TestSignWithABrokenKey: the error of a device that was removed names the key.
func TestSignWithABrokenKey(t *testing.T) {
	ring := parseRing(t, set(t, private(ecKey())))
	ring.signer.key = broken{ecKey()}
	token, err := ring.Sign(context.Background(), nil, []byte("{}"))
	if token != "" || !errors.Is(err, errBroken) || contains(err, ring.Keys()[0].ID) == "" {
		t.Errorf("Sign = %q, %v, want an error that names the key", token, err)
	}
}

func TestJoinES256(t *testing.T) {
	der := func(r, s *big.Int) []byte { return made(asn1.Marshal(struct{ R, S *big.Int }{r, s})) }
	one, wide := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 255)
	want := append(make([]byte, 31, 64), 1, 0x80)
	want = append(want, make([]byte, 31)...)
	if got, err := joinES256(der(one, wide)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("joinES256(1, 2^255) = %x, %v, want %x", got, err, want)
	}
	for name, text := range map[string][]byte{
		"empty":          nil,
		"no ASN.1":       make([]byte, 64),
		"text after":     append(der(one, one), 0),
		"cut":            der(one, wide)[:20],
		"r zero":         der(new(big.Int), one),
		"s negative":     der(one, big.NewInt(-1)),
		"s of 257 bits":  der(one, new(big.Int).Lsh(one, 256)),
		"r of 4096 bits": der(new(big.Int).Lsh(one, 4095), one),
	} {
		if got, err := joinES256(text); err == nil {
			t.Errorf("joinES256 of %s = %x, want an error", name, got)
		}
	}
}
