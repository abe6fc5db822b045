package libcrypto

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testKey(t testing.TB, l *Library, bits int) *privateKey {
	t.Helper()
	key, err := l.rsa(rsaKey(t, bits))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func randomDigest(hash crypto.Hash) []byte {
	digest := make([]byte, hash.Size())
	_, _ = rand.Read(digest) // it never fails
	return digest
}

func signOnce(key *privateKey) error {
	digest := randomDigest(crypto.SHA256)
	signature, err := key.Sign(nil, digest, crypto.SHA256)
	if err != nil {
		return err
	}
	return rsa.VerifyPKCS1v15(key.Public().(*rsa.PublicKey), crypto.SHA256, digest, signature)
}

// inParallel calls f n times at a time and returns the first error.
func inParallel(n int, f func() error) error {
	errs := make(chan error, n)
	for range n {
		go func() { errs <- f() }()
	}
	var first error
	for range n {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// TestSignsAsGo: PKCS #1 v1.5 has one signature only.
func TestSignsAsGo(t *testing.T) {
	l := testLibrary(t)
	for bits, n := range map[int]int{2048: 600, 2056: 50, 3072: 100, 4096: 50} {
		for range 2 {
			private := rsaKey(t, bits)
			key, err := l.rsa(private)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				hash := []crypto.Hash{crypto.SHA256, crypto.SHA256, crypto.SHA384, crypto.SHA512}[i%4]
				digest := randomDigest(hash)
				want, err := rsa.SignPKCS1v15(nil, private, hash, digest)
				if err != nil {
					t.Fatal(err)
				}
				got, err := key.Sign(nil, digest, hash)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bits, %s of %x: Sign = %x, %v, want %x", bits, hash, digest, got, err, want)
				}
			}
		}
	}
}

// TestGoVerifies what isn't the same each time.
func TestGoVerifies(t *testing.T) {
	l := testLibrary(t)
	pssKey := testKey(t, l, 2048)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := l.ecdsa(private)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		hash := []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}[i%3]
		digest := randomDigest(hash)
		options := &rsa.PSSOptions{SaltLength: []int{rsa.PSSSaltLengthEqualsHash, hash.Size()}[i%2], Hash: hash}
		signature, err := pssKey.Sign(nil, digest, options)
		if err == nil {
			err = rsa.VerifyPSS(pssKey.Public().(*rsa.PublicKey), hash, digest, signature, options)
		}
		if err != nil {
			t.Fatalf("PSS with %s: %v", hash, err)
		}
		signature, err = ecKey.Sign(rand.Reader, digest, hash)
		if err != nil || !ecdsa.VerifyASN1(ecKey.Public().(*ecdsa.PublicKey), digest, signature) {
			t.Fatalf("ECDSA with %s: %v", hash, err)
		}
	}
}

// TestKeyOfTwoNumbers: a JWK may leave out all but the primes.
func TestKeyOfTwoNumbers(t *testing.T) {
	l := testLibrary(t)
	whole := rsaKey(t, 2048)
	bare := &rsa.PrivateKey{PublicKey: whole.PublicKey, D: whole.D, Primes: whole.Primes}
	if key, err := l.rsa(bare); err != nil || signOnce(key) != nil {
		t.Error(err)
	}
	if bare.Precomputed.Dp != nil {
		t.Error("the caller's key was altered")
	}
	swapped := &rsa.PrivateKey{PublicKey: whole.PublicKey, D: whole.D, Primes: []*big.Int{whole.Primes[1], whole.Primes[0]}}
	if key, err := l.rsa(swapped); err != nil || signOnce(key) != nil {
		t.Error(err)
	}
}

// TestFaultStaysInside: a signature that went wrong in one prime isn't returned. libcrypto checks it and makes it again without the primes.
func TestFaultStaysInside(t *testing.T) {
	l := testLibrary(t)
	private := rsaKey(t, 2048)
	faulty := *private
	faulty.Precomputed.Dp = new(big.Int).Xor(private.Precomputed.Dp, big.NewInt(1<<20))
	pkey, err := l.importRSA(&faulty)
	if err != nil {
		t.Fatal(err)
	}
	digest := randomDigest(crypto.SHA256)
	signature, err := (&privateKey{pkey, &private.PublicKey, 256, rsaScheme}).Sign(nil, digest, crypto.SHA256)
	if err == nil {
		err = rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, digest, signature)
	}
	if err != nil {
		t.Error(err)
	}
	if _, err := l.rsa(&faulty); err == nil {
		t.Error("rsa took a faulty key, want an error")
	}
}

func TestRefuses(t *testing.T) {
	l := testLibrary(t)
	key := testKey(t, l, 2048)
	digest := randomDigest(crypto.SHA256)
	for name, c := range map[string]struct {
		digest []byte
		opts   crypto.SignerOpts
	}{
		"short digest":  {digest[:31], crypto.SHA256},
		"no digest":     {nil, crypto.SHA256},
		"no hash":       {digest, crypto.Hash(0)},
		"SHA-1":         {digest[:20], crypto.SHA1},
		"MD5+SHA1":      {make([]byte, 36), crypto.MD5SHA1},
		"longest salt":  {digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: crypto.SHA256}},
		"another salt":  {digest, &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}},
		"PSS, no hash":  {digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}},
		"unknown hash":  {digest, crypto.Hash(99)},
		"another hash":  {digest, crypto.SHA512},
		"PSS and SHA-1": {digest[:20], &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA1}},
	} {
		if _, err := key.Sign(nil, c.digest, c.opts); err == nil {
			t.Errorf("%s: Sign = nil error, want one", name)
		}
	}
}

// TestErrorsAreThoseOfTheCall: libcrypto keeps them per thread, and says why.
func TestErrorsAreThoseOfTheCall(t *testing.T) {
	l := testLibrary(t)
	key := testKey(t, l, 2048)
	public, err := l.importKey("RSA", selectPublic, params{}.number("n", key.public.(*rsa.PublicKey).N).number("e", big.NewInt(65537)))
	if err != nil {
		t.Fatal(err)
	}
	half := &privateKey{public, key.public, 256, rsaScheme}
	err = inParallel(20, func() error {
		for range 10 {
			if err := signOnce(key); err != nil {
				return err
			}
			_, err := half.Sign(nil, randomDigest(crypto.SHA256), crypto.SHA256)
			if err == nil || !strings.Contains(err.Error(), "EVP_PKEY_sign of libcrypto failed: error:") {
				return fmt.Errorf("Sign = %v, want the function that failed", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := l.importKey("NONE", selectPair, nil); err == nil || !strings.Contains(err.Error(), "import the NONE key: EVP_PKEY_CTX_new_from_name") {
		t.Errorf("importKey = %v, want the function that failed", err)
	}
}
