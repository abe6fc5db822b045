package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// Bounds of a key ring.
const (
	MaxRingSize = 256 << 10 // bytes of the file
	maxRingKeys = 50
	minRSABits  = 2048
)

// Ring is the gateway's keys: the first signs, all are published. Immutable
// and safe for concurrent use.
type Ring struct {
	signer signer
	set    []byte
	kids   []string
}

// signer is the key that signs.
type signer struct {
	method  jwt.SigningMethod
	private crypto.Signer
	kid     string
}

// ParseRing reads a ring from a private JWK set (RFC 7517) or PEM blocks
// (PKCS #8, PKCS #1, SEC 1; PKIX for public-only keys). The first key must be
// private. The kid of every key is its RFC 7638 thumbprint, whatever the text
// says. Errors don't reveal key material.
func ParseRing(text []byte) (*Ring, error) {
	keys, err := parseKeys(text)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 || len(keys) > maxRingKeys {
		return nil, fmt.Errorf("%d keys, not 1 to %d", len(keys), maxRingKeys)
	}
	ring := &Ring{}
	public := jose.JSONWebKeySet{}
	for i, key := range keys {
		pub, err := publish(key)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if private, ok := key.Key.(crypto.Signer); ok && !pair(private, pub) {
			return nil, fmt.Errorf("key %d: its private part doesn't belong to its public part", i+1)
		}
		if slices.Contains(ring.kids, pub.KeyID) {
			return nil, fmt.Errorf("key %d: it is in the ring twice", i+1)
		}
		ring.kids = append(ring.kids, pub.KeyID)
		public.Keys = append(public.Keys, pub)
	}
	private, ok := keys[0].Key.(crypto.Signer)
	if !ok {
		return nil, errors.New("key 1: it must be private, since the first key signs")
	}
	ring.signer = signer{jwt.GetSigningMethod(public.Keys[0].Algorithm), private, ring.kids[0]}
	ring.set, err = json.Marshal(public)
	return ring, err
}

// PublicSet returns the JWK set to publish. It must not be modified.
func (r *Ring) PublicSet() []byte { return r.set }

// KeyIDs returns the thumbprints of all keys; the first is that of the key
// that signs.
func (r *Ring) KeyIDs() []string { return r.kids }

// Algorithm returns the algorithm that the ring signs with.
func (r *Ring) Algorithm() string { return r.signer.method.Alg() }

// Holds tells whether the key with this thumbprint is in the ring.
func (r *Ring) Holds(thumbprint string) bool {
	return slices.Contains(r.kids, thumbprint)
}

// Sign returns payload as a token in compact serialization, signed with the
// ring's first key. typ is the header's typ as JSON, nil for none; alg and kid
// are the key's, and no other member is carried over, since those would speak
// of the provider's key.
func (r *Ring) Sign(typ jsontext.Value, payload []byte) (string, error) {
	head := make([]byte, 0, 128)
	head = append(head, `{"alg":"`...)
	head = append(head, r.signer.method.Alg()...)
	if typ != nil {
		head = append(head, `","typ":`...)
		head = append(head, typ...)
		head = append(head, `,"kid":"`...)
	} else {
		head = append(head, `","kid":"`...)
	}
	head = append(head, r.signer.kid...)
	head = append(head, `"}`...)

	enc := base64.RawURLEncoding
	token := make([]byte, 0, enc.EncodedLen(len(head))+enc.EncodedLen(len(payload))+enc.EncodedLen(512)+2)
	token = enc.AppendEncode(token, head)
	token = append(token, '.')
	token = enc.AppendEncode(token, payload)
	signature, err := r.signer.method.Sign(string(token), r.signer.private)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", r.signer.kid, err)
	}
	token = append(token, '.')
	token = enc.AppendEncode(token, signature)
	return string(token), nil
}

// Generate returns a new ring of one private key as the text of a JWK set:
// kind is rsa (2048 bits), ec (P-256) or ed25519.
func Generate(kind string) ([]byte, error) {
	var private any
	var err error
	switch kind {
	case "rsa":
		private, err = rsa.GenerateKey(rand.Reader, minRSABits)
	case "ec":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, fmt.Errorf("a key is of type rsa, ec or ed25519, not %q", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	key := jose.JSONWebKey{Key: private}
	pub, err := publish(key)
	if err != nil {
		return nil, err
	}
	key.KeyID, key.Algorithm, key.Use = pub.KeyID, pub.Algorithm, pub.Use
	text, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the key: %w", err)
	}
	return append(text, '\n'), nil
}
