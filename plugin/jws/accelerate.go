package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"sync"

	"m2m-token-enricher/plugin/jws/libcrypto"
)

// crypto3 is OpenSSL's libcrypto, if this build can load it and the system has
// it. It takes little more than half of the time for RSA that Go's own takes.
var crypto3 = sync.OnceValues(func() (*libcrypto.Library, error) { return libcrypto.Open() })

// Signatures says for people what makes and verifies signatures, on one line.
func Signatures() string {
	l, err := crypto3()
	if err != nil {
		return "crypto/rsa and crypto/ecdsa: " + strings.ReplaceAll(err.Error(), "\n", "; ") // of each place
	}
	return fmt.Sprintf("%s (%s)", l.Version(), l.Path())
}

// accelerated returns key in the library's memory, or key itself where that
// can't be: Go's own signs as well, only slower.
func accelerated(key crypto.Signer) crypto.Signer {
	l, err := crypto3()
	if err != nil {
		return key
	}
	var held *libcrypto.Key
	switch k := key.(type) {
	case *rsa.PrivateKey:
		held, err = l.RSA(k)
	case *ecdsa.PrivateKey:
		held, err = l.ECDSA(k)
	}
	if err != nil || held == nil {
		return key
	}
	return held
}

// inMemory tells whether a key is in this process's memory.
func inMemory(key crypto.Signer) bool {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, *libcrypto.Key:
		return true
	}
	return false
}

// acceleratedPublic is accelerated for a key to verify with, nil where that
// can't be.
func acceleratedPublic(key crypto.PublicKey) *libcrypto.PublicKey {
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	l, err := crypto3()
	if err != nil {
		return nil
	}
	held, err := l.RSAPublic(public)
	if err != nil {
		return nil
	}
	return held
}

// pkcs1 are the algorithms of RSASSA-PKCS1-v1_5 (RFC 7518, section 3.3).
var pkcs1 = map[string]crypto.Hash{"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512}

// verifies tells whether signature is the key's of signed. What the library
// can't do golang-jwt does.
func (key ProviderKey) verifies(alg, signed string, signature []byte) bool {
	if hash, ok := pkcs1[alg]; ok && key.held != nil {
		h := hash.New()
		h.Write([]byte(signed))
		err := key.held.Verify(h.Sum(nil), signature, hash)
		if err == nil || errors.Is(err, libcrypto.ErrSignature) {
			return err == nil
		}
	}
	return signingMethod(alg).Verify(signed, signature, key.Public) == nil
}
