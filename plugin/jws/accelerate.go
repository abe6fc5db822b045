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
	"sync/atomic"

	"m2m-token-enricher/plugin/jws/libcrypto"
)

// crypto3 is what makes and verifies signatures beside Go's own code. Until
// Accelerate it is nothing.
var crypto3 atomic.Pointer[engine]

// engine is OpenSSL's libcrypto, or why there is none.
type engine struct {
	library *libcrypto.Library
	missing error
}

var findEngine = sync.OnceValue(func() *engine {
	l, err := libcrypto.Open()
	return &engine{l, err}
})

// Accelerate loads OpenSSL's libcrypto, if this build can and the system has it,
// for the keys that are read from now on. It takes little more than half of the
// time for RSA that Go's own takes. It is for the process that serves, and for
// those that say how that one would sign. What reads keys otherwise, such as a
// command of root's, needs no library in its memory.
func Accelerate() { crypto3.Store(findEngine()) }

// Signatures says for people what makes and verifies signatures, on one line.
func Signatures() string {
	const own = "crypto/rsa and crypto/ecdsa"
	switch e := crypto3.Load(); {
	case e == nil:
		return own
	case e.missing != nil:
		return own + ": " + strings.ReplaceAll(e.missing.Error(), "\n", "; ") // of each place
	default:
		return fmt.Sprintf("%s (%s)", e.library.Version(), e.library.Path())
	}
}

// loaded returns the library, nil where there is none.
func loaded() *libcrypto.Library {
	if e := crypto3.Load(); e != nil {
		return e.library
	}
	return nil
}

// accelerated returns key in the library's memory, or key itself where that
// can't be: Go's own signs as well, only slower.
func accelerated(key crypto.Signer) crypto.Signer {
	l := loaded()
	if l == nil {
		return key
	}
	var held *libcrypto.Key
	var err error
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
	l := loaded()
	if l == nil {
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
