package libcrypto

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// Key is a private key in the library's memory. It implements crypto.Signer and
// is safe for concurrent use. Its memory is overwritten and freed some time
// after the last reference to it is gone, and never during a signature.
type Key struct {
	pkey   *pkey
	public crypto.PublicKey
	size   int // bytes of a signature at most
	scheme func(crypto.SignerOpts) (*scheme, error)
}

// RSA returns key, copied into the library. The Key signs once, and must sign
// as crypto/rsa does: PKCS #1 v1.5 leaves no choice.
//
// As crypto/rsa, libcrypto raises each signature to the public exponent before
// it gives it out, since one that went wrong in one prime reveals the other.
func (l *Library) RSA(key *rsa.PrivateKey) (*Key, error) {
	if len(key.Primes) != 2 {
		return nil, fmt.Errorf("an RSA key of %d primes is not supported", len(key.Primes))
	}
	whole := *key // the caller's is left as it is
	whole.Precompute()
	digest := make([]byte, crypto.SHA256.Size())
	want, err := rsa.SignPKCS1v15(nil, &whole, crypto.SHA256, digest)
	if err != nil {
		return nil, err
	}
	pkey, err := l.importRSA(&whole)
	if err != nil {
		return nil, err
	}
	signer := &Key{pkey, &rsa.PublicKey{N: key.N, E: key.E}, key.Size(), rsaScheme}
	got, err := signer.Sign(nil, digest, crypto.SHA256)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("libcrypto doesn't sign with the RSA key as crypto/rsa does")
	}
	if err != nil {
		return nil, err
	}
	return signer, nil
}

func (l *Library) importRSA(key *rsa.PrivateKey) (*pkey, error) {
	values := params{}.
		number("n", key.N).
		number("e", big.NewInt(int64(key.E))).
		number("d", key.D).
		number("rsa-factor1", key.Primes[0]).
		number("rsa-factor2", key.Primes[1]).
		number("rsa-exponent1", key.Precomputed.Dp).
		number("rsa-exponent2", key.Precomputed.Dq).
		number("rsa-coefficient1", key.Precomputed.Qinv)
	defer values.wipe()
	return l.importKey("RSA", selectPair, values)
}

// ECDSA returns key, of curve P-256, copied into the library. The Key signs
// once, to show that it can.
func (l *Library) ECDSA(key *ecdsa.PrivateKey) (*Key, error) {
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("curve %s is not supported", key.Curve.Params().Name)
	}
	pkey, err := l.importECDSA(key)
	if err != nil {
		return nil, err
	}
	const size = 72         // of a sequence of two numbers of up to 33 bytes
	public := key.PublicKey // a pointer into key would keep its private part
	signer := &Key{pkey, &public, size, func(opts crypto.SignerOpts) (*scheme, error) { return pick(bare, opts) }}
	digest := make([]byte, crypto.SHA256.Size())
	signature, err := signer.Sign(nil, digest, crypto.SHA256)
	if err == nil && !ecdsa.VerifyASN1(&public, digest, signature) {
		err = errors.New("libcrypto doesn't sign with the EC key as crypto/ecdsa verifies")
	}
	if err != nil {
		return nil, err
	}
	return signer, nil
}

func (l *Library) importECDSA(key *ecdsa.PrivateKey) (*pkey, error) {
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode the EC key: %w", err)
	}
	private, err := key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode the EC key: %w", err)
	}
	values := params{}.text("group", "prime256v1").bytes("pub", public).unsigned("priv", private)
	defer values.wipe()
	return l.importKey("EC", selectPair, values)
}

// Public returns the public part.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign returns the signature of a digest of SHA-256, SHA-384 or SHA-512: of an
// RSA key that of PKCS #1 v1.5 or, with *rsa.PSSOptions, of PSS with a salt as
// long as the digest; of an EC key an ASN.1 sequence. Random numbers are the
// library's own.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	scheme, err := k.scheme(opts)
	if err != nil {
		return nil, err
	}
	return k.pkey.sign(digest, k.size, scheme)
}
