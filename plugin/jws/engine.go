package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"strings"
	"sync/atomic"
)

// Engine makes and verifies signatures faster than Go's own code, which does
// what the engine returns an error for. Safe for concurrent use.
type Engine interface {
	// Signer returns a signer that has a copy of key.
	Signer(key crypto.Signer) (crypto.Signer, error)
	// Verifier prepares key for RSASSA-PKCS1-v1_5. The function reports whether
	// signature is the key's of digest. Its error means that the answer is
	// unknown.
	Verifier(key *rsa.PublicKey) (func(hash crypto.Hash, digest, signature []byte) (bool, error), error)
	// String describes the engine to people, on one line.
	String() string
}

// acceleration is an engine, or the reason for having none.
type acceleration struct {
	engine  Engine
	missing error
}

var accelerated atomic.Pointer[acceleration]

// Accelerate uses engine for the keys that are read from now on. If missing
// isn't nil, there is no engine, and Signatures gives the reason.
//
// It is for the process that serves, and for those that report how that one
// signs. Other processes read keys without it: a command that root runs needs
// no library in its memory.
func Accelerate(engine Engine, missing error) { accelerated.Store(&acceleration{engine, missing}) }

// currentEngine returns the engine, nil if there is none.
func currentEngine() Engine {
	if a := accelerated.Load(); a != nil && a.missing == nil {
		return a.engine
	}
	return nil
}

// Signatures describes what makes and verifies signatures, on one line.
func Signatures() string {
	const own = "crypto/rsa and crypto/ecdsa"
	switch a := accelerated.Load(); {
	case a == nil:
		return own
	case a.missing != nil:
		return own + ": " + strings.ReplaceAll(a.missing.Error(), "\n", "; ") // of each place
	default:
		return a.engine.String()
	}
}

// fastest returns the engine's copy of key, or key itself if there is none.
func fastest(key crypto.Signer) crypto.Signer {
	if engine := currentEngine(); engine != nil {
		if signer, err := engine.Signer(key); err == nil {
			return signer
		}
	}
	return key
}

// inMemory reports whether key is in this process's memory.
func inMemory(key crypto.Signer) bool {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return true
	}
	return false
}

// prepared returns the engine's verifier for key, nil if there is none.
func prepared(key crypto.PublicKey) func(hash crypto.Hash, digest, signature []byte) (bool, error) {
	public, ok := key.(*rsa.PublicKey)
	engine := currentEngine()
	if !ok || engine == nil {
		return nil
	}
	verify, err := engine.Verifier(public)
	if err != nil {
		return nil
	}
	return verify
}
