package libcrypto

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	mathrand "math/rand/v2"
	"testing"
)

func TestSigner(t *testing.T) {
	l := testLibrary(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{rsaKey(t, 2048), ec} {
		signer, err := l.Signer(key)
		if err != nil || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public()) {
			t.Errorf("Signer(%T) = %T, %v, want one of the same public key", key, signer, err)
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	whole := rsaKey(t, 2048)
	for name, key := range map[string]crypto.Signer{
		"Ed25519":        ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		"P-384":          p384,
		"without primes": &rsa.PrivateKey{PublicKey: whole.PublicKey, D: whole.D},
	} {
		if signer, err := l.Signer(key); err == nil || signer != nil {
			t.Errorf("%s: Signer = %v, %v, want an error", name, signer, err)
		}
	}
}

// TestVerifiesAsGo: what one accepts the other does, also after a change.
func TestVerifiesAsGo(t *testing.T) {
	l := testLibrary(t)
	for _, bits := range []int{2048, 2056, 3072} {
		private := rsaKey(t, bits)
		verify, err := l.Verifier(&private.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			hash := []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}[i%3]
			digest := randomDigest(hash)
			signature, err := private.Sign(rand.Reader, digest, hash)
			if err != nil {
				t.Fatal(err)
			}
			for name, altered := range alterations(signature) {
				want := rsa.VerifyPKCS1v15(&private.PublicKey, hash, digest, altered) == nil
				if got, err := verify(hash, digest, altered); got != want || err != nil {
					t.Errorf("%d bits, %s: verify = %t, %v, want %t", bits, name, got, err, want)
				}
			}
			digest[0] ^= 1
			if got, err := verify(hash, digest, signature); got || err != nil {
				t.Errorf("another digest: verify = %t, %v, want false", got, err)
			}
		}
		if _, err := verify(crypto.SHA1, make([]byte, crypto.SHA1.Size()), nil); err == nil {
			t.Error("SHA-1: no error, want one")
		}
	}
}

func alterations(signature []byte) map[string][]byte {
	flipped := bytes.Clone(signature)
	flipped[mathrand.IntN(len(flipped))] ^= 1 << mathrand.IntN(8)
	return map[string][]byte{
		"as it is":   signature,
		"a bit":      flipped,
		"shorter":    signature[:len(signature)-1],
		"longer":     append(bytes.Clone(signature), 0),
		"leading 0":  append([]byte{0}, signature...),
		"empty":      nil,
		"zero":       make([]byte, len(signature)),
		"too large":  bytes.Repeat([]byte{0xff}, len(signature)),
		"first byte": signature[:1],
	}
}
