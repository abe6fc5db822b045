package jws

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"m2m-token-enricher/plugin/splice"
)

// KeySource holds the provider's keys.
type KeySource interface {
	// Keys returns the provider's keys. The error wraps ErrKeysUnavailable.
	// Safe for concurrent use; the set must not be modified.
	Keys(ctx context.Context) (ProviderKeys, error)
	// Renewed returns the keys after a chance to learn of new ones, for a
	// token whose key is not in the set that Keys returned. The error wraps
	// ErrKeysUnavailable.
	Renewed(ctx context.Context) (ProviderKeys, error)
}

// Verifier verifies the tokens of one issuer. Safe for concurrent use.
type Verifier struct {
	algorithms []string
	keys       KeySource
	validator  *jwt.Validator
}

// NewVerifier returns a verifier of tokens that issuer signed with one of
// algorithms and a key of keys. Times are compared with now, give or take
// leeway; a token without exp is refused.
func NewVerifier(issuer string, algorithms []string, leeway time.Duration, keys KeySource, now func() time.Time) *Verifier {
	return &Verifier{
		algorithms: algorithms,
		keys:       keys,
		validator: jwt.NewValidator(
			jwt.WithIssuer(issuer),
			jwt.WithExpirationRequired(),
			jwt.WithLeeway(leeway),
			jwt.WithTimeFunc(now),
		),
	}
}

// Verify returns token's claims if the provider vouches for them now. The
// error wraps ErrOpaque, ErrKeysUnavailable or ErrUntrusted and holds no value
// of the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	c, err := decode(token)
	if errors.Is(err, ErrOpaque) {
		return nil, err
	}
	var h header
	if err == nil {
		h, err = readHeader(c.header)
	}
	if errors.Is(err, ErrOpaque) {
		return nil, err
	}
	keys, keysErr := v.keys.Keys(ctx)
	if keysErr != nil {
		return nil, keysErr
	}
	if err != nil {
		return nil, err
	}
	key, err := v.verifySignature(ctx, c, h, keys)
	if err != nil {
		return nil, err
	}
	claims, err := v.readClaims(c.payload)
	if err != nil {
		return nil, err
	}
	return &Token{Type: h.typ, Claims: claims, Key: key.Thumbprint}, nil
}

// verifySignature returns the key that signed c.
func (v *Verifier) verifySignature(ctx context.Context, c *compact, h header, keys ProviderKeys) (ProviderKey, error) {
	if !slices.Contains(v.algorithms, h.alg) {
		return ProviderKey{}, fmt.Errorf("%w: its algorithm is not accepted", ErrUntrusted)
	}
	key, err := keys.verify(c, h)
	if err == nil || keys.name(h) {
		return key, err
	}
	if keys, err = v.keys.Renewed(ctx); err != nil {
		return ProviderKey{}, err
	}
	return keys.verify(c, h)
}

func (v *Verifier) readClaims(payload []byte) (Claims, error) {
	o, err := splice.Parse(payload)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: payload: %w", ErrUntrusted, err)
	}
	claims := Claims{o}
	if err := v.validator.Validate(claims); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if _, err := claims.GetAudience(); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return claims, nil
}

// ProviderKey is a public key that a provider signs with.
type ProviderKey struct {
	KeyID      string // "" if the provider gave none
	Algorithm  string // "" if the provider doesn't restrict it
	Public     crypto.PublicKey
	Thumbprint string // RFC 7638, SHA-256, base64url
}

// ProviderKeys are the keys of a provider.
type ProviderKeys []ProviderKey

// verify returns the key that signed c, which has header h. A key without a
// kid may have signed any token, and any key one without a kid.
func (keys ProviderKeys) verify(c *compact, h header) (ProviderKey, error) {
	err := fmt.Errorf("%w: its key is not in the provider's set", ErrUntrusted)
	for _, key := range keys {
		if !key.makes(h.alg) || (h.kid != "" && key.KeyID != "" && key.KeyID != h.kid) {
			continue
		}
		if signingMethod(h.alg).Verify(c.signed, c.signature, key.Public) == nil {
			return key, nil
		}
		err = fmt.Errorf("%w: its signature is wrong", ErrUntrusted)
	}
	return ProviderKey{}, err
}

// signingMethod returns the method alg. In PS256 and its like the salt is as
// long as the hash (RFC 7518, section 3.5); golang-jwt verifies any length.
func signingMethod(alg string) jwt.SigningMethod {
	method := jwt.GetSigningMethod(alg)
	if pss, ok := method.(*jwt.SigningMethodRSAPSS); ok {
		return &jwt.SigningMethodRSAPSS{SigningMethodRSA: pss.SigningMethodRSA, Options: pss.Options}
	}
	return method
}

// name tells whether the kid of h is that of one of keys, so that a newer set
// would hold no other for it.
func (keys ProviderKeys) name(h header) bool {
	return h.kid != "" && slices.ContainsFunc(keys, func(key ProviderKey) bool {
		return key.KeyID == h.kid && key.makes(h.alg)
	})
}

// makes tells whether the key makes signatures of alg.
func (key ProviderKey) makes(alg string) bool {
	return (key.Algorithm == "" || key.Algorithm == alg) && fits(alg, key.Public)
}

// fits tells whether signatures of alg are made with a key like public (RFC
// 7518 section 3, RFC 8037 section 3.1).
func fits(alg string, public crypto.PublicKey) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return len(alg) == 5 && (alg[:2] == "RS" || alg[:2] == "PS")
	case *ecdsa.PublicKey:
		bits := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}
		return bits[alg] == key.Curve.Params().BitSize
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
