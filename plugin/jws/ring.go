package jws

import (
	"context"
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
	"runtime"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"
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
	keys   []RingKey
}

// RingKey describes a key of a ring.
type RingKey struct {
	ID        string // RFC 7638 thumbprint
	Algorithm string
	Private   bool // it could sign
}

// Key is a key of a ring.
type Key struct {
	// Signer holds the private part, in memory or in a device. Nil for a key
	// that is only published.
	Signer crypto.Signer
	// Public is ignored if there is a Signer, which has it.
	Public crypto.PublicKey
	// Algorithm is RS256, PS256, ES256 or EdDSA, also called Ed25519. Empty means the
	// one of the key's type, RS256 for RSA.
	Algorithm string
}

// NewRing returns the ring of keys. The first must have a Signer. Each Signer
// signs once, to show that it can.
func NewRing(keys ...Key) (*Ring, error) {
	if len(keys) == 0 || len(keys) > maxRingKeys {
		return nil, fmt.Errorf("%d keys, not 1 to %d", len(keys), maxRingKeys)
	}
	ring := &Ring{}
	var set jose.JSONWebKeySet
	for i, key := range keys {
		public, err := key.publish()
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if ring.Has(public.KeyID) {
			return nil, fmt.Errorf("key %d: it is in the ring twice", i+1)
		}
		ring.keys = append(ring.keys, RingKey{public.KeyID, public.Algorithm, key.Signer != nil})
		set.Keys = append(set.Keys, public)
	}
	if keys[0].Signer == nil {
		return nil, errors.New("key 1: it must be private, because the first key signs")
	}
	ring.signer = signer{keys[0].Signer, ring.keys[0].Algorithm, ring.keys[0].ID, inMemory(keys[0].Signer)}
	var err error
	ring.set, err = json.Marshal(set)
	return ring, err
}

// publish returns the JWK to publish for k, if the parts of k belong together.
func (k Key) publish() (jose.JSONWebKey, error) {
	if k.Signer != nil {
		k.Public = k.Signer.Public()
	}
	public, err := publish(jose.JSONWebKey{Key: k.Public, Algorithm: k.Algorithm})
	if err == nil && k.Signer != nil {
		err = signer{key: k.Signer, algorithm: public.Algorithm}.check(public.Key)
	}
	return public, err
}

// ParseRing reads a ring from a private JWK set (RFC 7517) or PEM blocks
// (PKCS #8, PKCS #1, SEC 1; PKIX for public-only keys). The first key must be
// private. The kid of every key is its RFC 7638 thumbprint, whatever the text
// says. Errors don't reveal key material.
func ParseRing(text []byte) (*Ring, error) {
	parsed, err := parseKeys(text)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, len(parsed))
	for i, key := range parsed {
		if key.Use != "" && key.Use != "sig" {
			return nil, fmt.Errorf("key %d: its use is %q, not sig", i+1, key.Use)
		}
		signer, _ := key.Key.(crypto.Signer)
		keys[i] = Key{signer, key.Key, key.Algorithm}
	}
	ring, err := NewRing(keys...)
	if err != nil {
		return nil, err
	}
	ring.signer.key = fastest(ring.signer.key)
	return ring, nil
}

// PublicSet returns the JWK set to publish. It must not be modified.
func (r *Ring) PublicSet() []byte { return r.set }

// Keys returns all keys in their order; the first signs. The slice must not be
// modified.
func (r *Ring) Keys() []RingKey { return r.keys }

// KeyID returns the kid of the key that signs.
func (r *Ring) KeyID() string { return r.signer.kid }

// Algorithm returns the algorithm that the ring signs with.
func (r *Ring) Algorithm() string { return r.signer.algorithm }

// Has reports whether the key with this thumbprint is in the ring.
func (r *Ring) Has(thumbprint string) bool {
	return slices.ContainsFunc(r.keys, func(key RingKey) bool { return key.ID == thumbprint })
}

// turns bounds the signatures made at a time. More of them than processors would
// only delay quick work, such as publishing the keys.
var turns = make(chan struct{}, runtime.GOMAXPROCS(0))

// Sign returns payload as a token in compact serialization, signed with the
// ring's first key. typ is the header's typ as JSON, nil for none. alg and kid are
// the key's. No other member is kept, because it would describe the provider's
// key.
func (r *Ring) Sign(ctx context.Context, typ jsontext.Value, payload []byte) (string, error) {
	head := make([]byte, 0, 128)
	head = append(head, `{"alg":"`...)
	head = append(head, r.signer.algorithm...)
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
	signature, err := r.signer.inTurn(ctx, token)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", r.signer.kid, err)
	}
	token = append(token, '.')
	token = enc.AppendEncode(token, signature)
	return string(token), nil
}

// inTurn signs message when it is its turn, or fails when ctx ends first. A key in
// a device needs no processor, and has bounds of its own.
func (s signer) inTurn(ctx context.Context, message []byte) ([]byte, error) {
	if !s.inMemory {
		return s.sign(message)
	}
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.sign(message)
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
