package jws

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
)

// fakeEngine answers every question with the same.
type fakeEngine struct {
	signer   crypto.Signer
	verified bool
	err      error
}

func (e fakeEngine) Signer(key crypto.Signer) (crypto.Signer, error) { return e.signer, e.err }

func (e fakeEngine) Verifier(*rsa.PublicKey) (func(crypto.Hash, []byte, []byte) (bool, error), error) {
	return func(crypto.Hash, []byte, []byte) (bool, error) { return e.verified, e.err }, nil
}

func (fakeEngine) String() string { return "a fake" }

// TestEngine: what an engine answers counts, and Go's own code does the rest.
func TestEngine(t *testing.T) {
	defer accelerated.Store(accelerated.Load())
	unable := errors.New("unable")
	token := sign(t, "RS256", rsaKey(), accepted, claims(""))
	for name, tt := range map[string]struct {
		engine     fakeEngine
		missing    error
		signatures string
		want       error
	}{
		"accepts":      {fakeEngine{signer: ecKey(), verified: true}, nil, "a fake", nil},
		"refuses":      {fakeEngine{signer: ecKey()}, nil, "a fake", ErrUntrusted},
		"doesn't know": {fakeEngine{err: unable}, nil, "a fake", nil},
		"isn't there":  {fakeEngine{}, errors.Join(unable, unable), "crypto/rsa and crypto/ecdsa: unable; unable", nil},
		"can't sign":   {fakeEngine{signer: broken{ecKey()}, verified: true}, nil, "a fake", nil},
	} {
		t.Run(name, func(t *testing.T) {
			Accelerate(tt.engine, tt.missing)
			if got := Signatures(); got != tt.signatures {
				t.Errorf("Signatures = %q, want %q", got, tt.signatures)
			}
			_, err := verify(t, token)
			check(t, token, err, tt.want)
			_, err = parseRing(t, set(t, private(ecKey()))).Sign(t.Context(), nil, []byte("{}"))
			if want := tt.engine.signer == (broken{ecKey()}); errors.Is(err, errBroken) != want {
				t.Errorf("Sign = %v, want the engine's error: %t", err, want)
			}
		})
	}
	accelerated.Store(nil)
	if got := Signatures(); strings.Contains(got, ":") {
		t.Errorf("Signatures = %q without an engine, want no reason", got)
	}
}
