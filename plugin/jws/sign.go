package jws

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// signer is a key that signs, in memory or in a device.
type signer struct {
	key       crypto.Signer
	algorithm string
	kid       string
	inMemory  bool
}

// sign returns the signature of message in the form of JOSE.
func (s signer) sign(message []byte) ([]byte, error) {
	if s.algorithm == "EdDSA" { // RFC 8037, section 3.1: the message, not its hash
		return s.key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	switch s.algorithm {
	case "RS256": // RFC 7518, section 3.3
		return s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	case "PS256": // RFC 7518, section 3.5
		return s.key.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	case "ES256":
		der, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return joinES256(der)
	}
	return nil, fmt.Errorf("algorithm %q is not supported", s.algorithm)
}

// check returns an error if public doesn't verify what s signs. A JWK has both
// parts, and the parser doesn't compare those of an EC key.
func (s signer) check(public crypto.PublicKey) error {
	signature, err := s.sign(nil)
	if err != nil {
		return fmt.Errorf("it doesn't sign: %w", err)
	}
	if jwt.GetSigningMethod(s.algorithm).Verify("", signature, public) != nil {
		return errors.New("its private part doesn't belong to its public part")
	}
	return nil
}

// joinES256 turns a signature of crypto.Signer, an ASN.1 sequence of r and s, into
// r and s of 32 bytes each (RFC 7518, section 3.4).
func joinES256(der []byte) ([]byte, error) {
	signature := make([]byte, 64)
	input := cryptobyte.String(der)
	var sequence cryptobyte.String
	if input.ReadASN1(&sequence, asn1.SEQUENCE) && input.Empty() &&
		readInteger(&sequence, signature[:32]) && readInteger(&sequence, signature[32:]) && sequence.Empty() {
		return signature, nil
	}
	return nil, errors.New("not an ECDSA signature of curve P-256")
}

// readInteger reads a positive integer into the whole of to.
func readInteger(from *cryptobyte.String, to []byte) bool {
	var n []byte
	if !from.ReadASN1Integer(&n) || len(n) > len(to) || len(n) == 0 {
		return false
	}
	copy(to[len(to)-len(n):], n)
	return slices.ContainsFunc(n, func(c byte) bool { return c != 0 })
}
