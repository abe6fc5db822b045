package jws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
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
	signer Signer
	set    []byte
	kids   []string
}

// Signer is the key that signs.
type Signer struct {
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
	ring.signer = Signer{jwt.GetSigningMethod(public.Keys[0].Algorithm), private, ring.kids[0]}
	ring.set, err = json.Marshal(public)
	return ring, err
}

func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	if len(text) > MaxRingSize {
		return nil, fmt.Errorf("more than %d bytes", MaxRingSize)
	}
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return nil, errors.New("no keys: it is empty")
	case bytes.HasPrefix(text, []byte("-----BEGIN")):
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
	}
	return keys, nil
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

// parseBlock returns nil for a block that is no key: OpenSSL writes EC
// parameters before an EC key.
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

// publish returns what is published of key: its public part, the algorithm
// that it signs with and its thumbprint as kid.
func publish(key jose.JSONWebKey) (jose.JSONWebKey, error) {
	if key.Use != "" && key.Use != "sig" {
		return key, fmt.Errorf("its use is %q, not sig", key.Use)
	}
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
		pub.Algorithm = ""
		for _, alg := range algorithms {
			if alg == key.Algorithm {
				pub.Algorithm = alg
			}
		}
		if pub.Algorithm == "" {
			return pub, fmt.Errorf("its algorithm %q is not supported", key.Algorithm)
		}
	}
	kid, err := thumbprint(pub)
	pub.KeyID = kid
	return pub, err
}

// pair tells whether pub verifies what private signs. A JWK states both parts,
// and the parser doesn't compare those of an EC key.
func pair(private crypto.Signer, pub jose.JSONWebKey) bool {
	method := jwt.GetSigningMethod(pub.Algorithm)
	signature, err := method.Sign("", private)
	return err == nil && method.Verify("", signature, pub.Key) == nil
}

func thumbprint(key jose.JSONWebKey) (string, error) {
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("thumbprint (RFC 7638): %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// PublicSet returns the JWK set to publish. It must not be modified.
func (r *Ring) PublicSet() []byte { return r.set }

// ETag returns the entity tag of the published set.
func (r *Ring) ETag() string {
	sum := sha256.Sum256(r.set)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// KeyIDs returns the thumbprints of all keys; the first is that of the key
// that signs.
func (r *Ring) KeyIDs() []string { return r.kids }

// Algorithm returns the algorithm that the ring signs with.
func (r *Ring) Algorithm() string { return r.signer.method.Alg() }

// Holds tells whether the key with this thumbprint is in the ring.
func (r *Ring) Holds(thumbprint string) bool {
	for _, kid := range r.kids {
		if kid == thumbprint {
			return true
		}
	}
	return false
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
