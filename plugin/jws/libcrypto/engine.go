package libcrypto

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"math/big"
	"sync"
)

// Load opens the library of KongPath or SystemPaths, once for the process.
var Load = sync.OnceValues(func() (*Library, error) { return Open() })

// Signer returns key, of RSA or of curve P-256, copied into the library. It
// signs once, to show that it can.
//
// Of an RSA key it makes signatures of PKCS #1 v1.5 or, with *rsa.PSSOptions, of
// PSS with a salt as long as the digest; of an EC key it makes ASN.1 sequences.
// The digest is one of SHA-256, SHA-384 or SHA-512. The library uses its own
// random numbers. Its copy is overwritten and freed some time after the last
// reference to the signer is gone, and never during a signature.
func (l *Library) Signer(key crypto.Signer) (crypto.Signer, error) {
	var signer *privateKey
	var err error
	switch key := key.(type) {
	case *rsa.PrivateKey:
		signer, err = l.rsa(key)
	case *ecdsa.PrivateKey:
		signer, err = l.ecdsa(key)
	default:
		err = fmt.Errorf("a key of type %T is not supported", key)
	}
	if err != nil {
		return nil, err
	}
	return signer, nil
}

// Verifier copies key into the library. The function reports whether signature
// is the key's of digest, by PKCS #1 v1.5; it is safe for concurrent use. Its
// error means that the answer is unknown.
func (l *Library) Verifier(key *rsa.PublicKey) (func(hash crypto.Hash, digest, signature []byte) (bool, error), error) {
	pkey, err := l.importKey("RSA", selectPublic, params{}.number("n", key.N).number("e", big.NewInt(int64(key.E))))
	if err != nil {
		return nil, err
	}
	return func(hash crypto.Hash, digest, signature []byte) (bool, error) {
		scheme, err := pick(pkcs1, hash)
		if err != nil {
			return false, err
		}
		return pkey.verify(digest, signature, scheme)
	}, nil
}

// String returns what the library calls itself, and where it was found.
func (l *Library) String() string { return fmt.Sprintf("%s (%s)", l.version, l.path) }
