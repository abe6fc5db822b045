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

// privateKey is a key in the library's memory. It is safe for concurrent use.
type privateKey struct {
	pkey   *pkey
	public crypto.PublicKey
	size   int // bytes of a signature at most
	scheme func(crypto.SignerOpts) (*scheme, error)
}

// rsa returns key, if the library signs with it as crypto/rsa does: PKCS #1 v1.5
// leaves no choice.
//
// A signature that went wrong in one prime reveals the other. So libcrypto, like
// crypto/rsa, verifies each signature before it returns it.
func (l *Library) rsa(key *rsa.PrivateKey) (*privateKey, error) {
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
	signer := &privateKey{pkey, &rsa.PublicKey{N: key.N, E: key.E}, key.Size(), rsaScheme}
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

// ecdsa returns key, if the library signs with it.
func (l *Library) ecdsa(key *ecdsa.PrivateKey) (*privateKey, error) {
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("curve %s is not supported", key.Curve.Params().Name)
	}
	pkey, err := l.importECDSA(key)
	if err != nil {
		return nil, err
	}
	const size = 72         // of a sequence of two numbers of up to 33 bytes
	public := key.PublicKey // a pointer into key would keep its private part
	signer := &privateKey{pkey, &public, size, func(opts crypto.SignerOpts) (*scheme, error) { return pick(bare, opts) }}
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
func (k *privateKey) Public() crypto.PublicKey { return k.public }

// Sign implements [crypto.Signer], as [Library.Signer] says.
func (k *privateKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	scheme, err := k.scheme(opts)
	if err != nil {
		return nil, err
	}
	return k.pkey.sign(digest, k.size, scheme)
}
