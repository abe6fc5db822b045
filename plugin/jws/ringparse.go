package jws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"m2m-token-enricher/schema"
)

// parseKeys reads the keys of a JWK set or of PEM blocks.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	if len(text) > MaxRingSize {
		return nil, fmt.Errorf("more than %d bytes", MaxRingSize)
	}
	text = bytes.TrimSpace(schema.WithoutMark(text))
	switch {
	case len(text) == 0:
		return nil, errors.New("no keys: it is empty")
	case IsPEM(text):
		return parsePEM(text)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("neither a JWK set nor PEM")
	}
	keys := make([]jose.JSONWebKey, len(set.Keys))
	for i, raw := range set.Keys {
		if err := keys[i].UnmarshalJSON(raw); err != nil {
			return nil, fmt.Errorf("key %d: not a valid JWK of a supported type", i+1)
		}
		if key, ok := keys[i].Key.(*rsa.PrivateKey); ok {
			key.Precompute() // or crypto/rsa does it for every signature
		}
	}
	return keys, nil
}

// IsPEM reports whether a ring is written as PEM blocks, not as a JWK set.
func IsPEM(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(schema.WithoutMark(text)), []byte("-----BEGIN"))
}

func parsePEM(text []byte) ([]jose.JSONWebKey, error) {
	var keys []jose.JSONWebKey
	for len(text) > 0 {
		block, rest := pem.Decode(text) // it skips text and damaged blocks
		if block == nil || bytes.LastIndex(text[:len(text)-len(rest)], []byte("-----BEGIN")) != 0 {
			return nil, fmt.Errorf("key %d: a damaged PEM block, or text around it", len(keys)+1)
		}
		key, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(keys)+1, err)
		}
		if key != nil {
			keys = append(keys, jose.JSONWebKey{Key: key})
		}
		text = bytes.TrimSpace(rest)
	}
	return keys, nil
}

// parseBlock returns nil for EC parameters, which OpenSSL writes before an EC key.
func parseBlock(block *pem.Block) (key any, err error) {
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "EC PARAMETERS":
		return nil, nil
	default:
		return nil, fmt.Errorf("a PEM block of type %q is not supported", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("not a valid %s", block.Type)
	}
	return key, nil
}

// publish returns the JWK to publish for key: its public part and its algorithm,
// with its thumbprint as kid.
func publish(key jose.JSONWebKey) (jose.JSONWebKey, error) {
	pub := jose.JSONWebKey{Key: key.Public().Key, Use: "sig"}
	var algorithms []string
	switch k := pub.Key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return pub, fmt.Errorf("an RSA key of %d bits is too weak", k.N.BitLen())
		}
		algorithms = []string{"RS256", "PS256"}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return pub, fmt.Errorf("curve %s is not supported", k.Curve.Params().Name)
		}
		algorithms = []string{"ES256"}
	case ed25519.PublicKey:
		algorithms = []string{"EdDSA"}
	default:
		return pub, errors.New("its type is not supported")
	}
	pub.Algorithm = algorithms[0]
	if key.Algorithm != "" {
		pub.Algorithm = canonical(key.Algorithm) // few libraries know Ed25519 yet
		if !slices.Contains(algorithms, pub.Algorithm) {
			return pub, fmt.Errorf("its algorithm %q is not supported", key.Algorithm)
		}
	}
	kid, err := thumbprint(pub)
	pub.KeyID = kid
	return pub, err
}

func thumbprint(key jose.JSONWebKey) (string, error) {
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("thumbprint (RFC 7638): %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
