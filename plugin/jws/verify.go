package jws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"m2m-token-enricher/plugin/splice"
)

// KeySource provides the provider's keys. Its errors wrap ErrKeysUnavailable. Safe
// for concurrent use; the keys must not be modified.
type KeySource interface {
	// Keys returns the keys.
	Keys(ctx context.Context) (ProviderKeys, error)
	// Renewed returns the keys after an attempt to fetch new ones. It is for a
	// token that none of Keys verifies.
	Renewed(ctx context.Context) (ProviderKeys, error)
}

// Verifier verifies the tokens of one provider. Safe for concurrent use.
type Verifier struct {
	algorithms []string
	keys       KeySource
	issuer     string
	validators map[string]*jwt.Validator // by iss
}

// NewVerifier returns a verifier of tokens that issuer signed with one of
// algorithms and a key of keys. Their iss is issuer or one of further. Times are
// compared with now, give or take leeway; a token without exp is refused.
func NewVerifier(issuer string, algorithms []string, leeway time.Duration, keys KeySource, now func() time.Time, further ...string) *Verifier {
	accepted := make([]string, len(algorithms))
	for i, alg := range algorithms {
		accepted[i] = canonical(alg)
	}
	validators := map[string]*jwt.Validator{}
	for _, iss := range append([]string{issuer}, further...) {
		validators[iss] = jwt.NewValidator(
			jwt.WithIssuer(iss),
			jwt.WithExpirationRequired(),
			jwt.WithLeeway(leeway),
			jwt.WithTimeFunc(now),
		)
	}
	return &Verifier{algorithms: accepted, keys: keys, issuer: issuer, validators: validators}
}

// Verify returns token's claims if the provider vouches for them now. The
// error wraps ErrOpaque, ErrKeysUnavailable or ErrUntrusted and holds no value
// of the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	c, h, key, err := v.signed(ctx, token)
	if err != nil {
		return nil, err
	}
	claims, err := v.readClaims(c.payload)
	if err != nil {
		return nil, err
	}
	return &Token{Type: h.typ, Claims: claims, Key: key.Thumbprint}, nil
}

// Payload returns what a key of the provider signed, without looking at it: the
// JWT of an event has neither iss nor exp. The error wraps the same as that of
// Verify.
func (v *Verifier) Payload(ctx context.Context, token string) ([]byte, error) {
	c, _, _, err := v.signed(ctx, token)
	if err != nil {
		return nil, err
	}
	return c.payload, nil
}

// signed returns token with the key that signed it.
func (v *Verifier) signed(ctx context.Context, token string) (*compact, header, ProviderKey, error) {
	c, err := decode(token)
	var h header
	if err == nil {
		h, err = readHeader(c.header)
	}
	if errors.Is(err, ErrOpaque) {
		return nil, h, ProviderKey{}, err
	}
	keys, keysErr := v.keys.Keys(ctx)
	if keysErr != nil {
		return nil, h, ProviderKey{}, keysErr
	}
	if err != nil {
		return nil, h, ProviderKey{}, err
	}
	key, err := v.verifySignature(ctx, c, h, keys)
	return c, h, key, err
}

// verifySignature returns the key that signed c. If none of keys did, it looks for
// newer ones: a provider may also give a new key the kid of an old one.
func (v *Verifier) verifySignature(ctx context.Context, c *compact, h header, keys ProviderKeys) (ProviderKey, error) {
	if !slices.Contains(v.algorithms, h.alg) {
		return ProviderKey{}, fmt.Errorf("%w: its algorithm is not accepted", ErrUntrusted)
	}
	key, err := keys.verify(c, h)
	if err == nil {
		return key, nil
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
	iss, _ := claims.GetIssuer()
	validator := v.validators[iss]
	if validator == nil {
		validator = v.validators[v.issuer] // which says what is wrong
	}
	if err := validator.Validate(claims); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if _, err := claims.GetAudience(); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return claims, nil
}
