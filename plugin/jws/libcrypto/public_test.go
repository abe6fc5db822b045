package libcrypto

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	mathrand "math/rand/v2"
	"testing"
)

// TestVerifiesAsGo: what one accepts the other does, also of what was altered.
func TestVerifiesAsGo(t *testing.T) {
	l := testLibrary(t)
	for _, bits := range []int{2048, 2056, 3072} {
		private := rsaKey(t, bits)
		public, err := l.RSAPublic(&private.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			hash := []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}[i%3]
			var opts crypto.SignerOpts = hash
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
			if i%2 == 1 {
				opts = options
			}
			digest := randomDigest(hash)
			signature, err := private.Sign(rand.Reader, digest, opts)
			if err != nil {
				t.Fatal(err)
			}
			for name, altered := range alterations(signature) {
				var want error
				if opts == options {
					want = rsa.VerifyPSS(&private.PublicKey, hash, digest, altered, options)
				} else {
					want = rsa.VerifyPKCS1v15(&private.PublicKey, hash, digest, altered)
				}
				got := public.Verify(digest, altered, opts)
				if (want == nil) != (got == nil) || (got != nil && !errors.Is(got, ErrSignature)) {
					t.Errorf("%d bits, %T, %s: %v, not %v", bits, opts, name, got, want)
				}
			}
			digest[0] ^= 1
			if err := public.Verify(digest, signature, opts); !errors.Is(err, ErrSignature) {
				t.Errorf("another digest: %v", err)
			}
		}
	}
}

func alterations(signature []byte) map[string][]byte {
	flipped := append([]byte(nil), signature...)
	flipped[mathrand.IntN(len(flipped))] ^= 1 << mathrand.IntN(8)
	all := make([]byte, len(signature))
	for i := range all {
		all[i] = 0xff
	}
	return map[string][]byte{
		"as it is":   signature,
		"a bit":      flipped,
		"shorter":    signature[:len(signature)-1],
		"longer":     append(append([]byte(nil), signature...), 0),
		"leading 0":  append([]byte{0}, signature...),
		"empty":      nil,
		"zero":       make([]byte, len(signature)),
		"too large":  all,
		"first byte": signature[:1],
	}
}

// TestSaltLength: a salt of another length than the digest's is not that of a
// token (RFC 7518, section 3.5).
func TestSaltLength(t *testing.T) {
	l := testLibrary(t)
	private := rsaKey(t, 2048)
	public, err := l.RSAPublic(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	digest := randomDigest(crypto.SHA256)
	signature, err := private.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	err = public.Verify(digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	if !errors.Is(err, ErrSignature) {
		t.Errorf("the error is %v", err)
	}
}
