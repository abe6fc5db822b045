package enrich

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// verify returns the provider's token if the provider vouches for it.
func (e *Enricher) verify(ctx context.Context, raw string) (*jws.Token, error) {
	token, err := e.deps.Verifier.Verify(ctx, raw)
	switch {
	case errors.Is(err, jws.ErrOpaque):
		return nil, &end{OpaqueToken, err}
	case errors.Is(err, jws.ErrKeysUnavailable):
		return nil, &end{KeysUnavailable, err}
	case err != nil:
		return nil, &end{UntrustedToken, err}
	}
	return token, nil
}

// ownKeys are the gateway's keys. The ring whose keys are compared with the
// token's is also the one that signs.
type ownKeys struct {
	ring Ring
	err  error // why there is no ring; it ends an exchange that would be signed, and no other
}

func (e *Enricher) ownKeys(ctx context.Context) ownKeys {
	ring, err := e.deps.Ring(ctx)
	return ownKeys{ring, err}
}

// checkSigner ends the exchange if the gateway itself signed the token. It came
// through a loop of routes, or the provider's keys are the gateway's: either way
// nobody vouches for it.
func (k ownKeys) checkSigner(token *jws.Token) error {
	if k.err == nil && k.ring.Holds(token.Key) {
		return endWith(UntrustedToken, "%w: it is signed with the gateway's own key", jws.ErrUntrusted)
	}
	return nil
}

// identify returns the client that the verified token names. The request must
// not name another.
func (e *Enricher) identify(token *jws.Token, request tokenRequest) (string, error) {
	id, ok := token.Claims.TextAt(e.cfg.ClientIDClaim)
	if !ok || !schema.ValidID(id) {
		return "", endWith(UntrustedToken, "%w: claim %q is not a client id", jws.ErrUntrusted, e.cfg.ClientIDClaim)
	}
	if request.unnamed != nil {
		return "", &end{ClientMismatch, request.unnamed}
	}
	for _, c := range request.clients {
		if !c.is(id) {
			return "", endWith(ClientMismatch, "the token is for another client than the request")
		}
	}
	return id, nil
}

// signed is a token that the gateway signed.
type signed struct {
	token     string
	keyID     string
	expiresIn int64 // seconds, if the token lives shorter than the provider said; else 0
}

// sign returns the token with claims set and the gateway's signature.
func (e *Enricher) sign(ctx context.Context, keys ownKeys, token *jws.Token, claims []splice.Member) (s signed, err error) {
	gateway, expiresIn, err := e.gatewayClaims(token.Claims, e.deps.Now())
	if err != nil {
		return s, err
	}
	if err := cmp.Or(ctx.Err(), keys.err); err != nil {
		return s, fmt.Errorf("sign the token: %w", err)
	}
	s = signed{keyID: keys.ring.KeyID(), expiresIn: expiresIn}
	if s.token, err = keys.ring.Sign(ctx, token.Type, token.Claims.With(append(claims, gateway...)...)); err != nil {
		return s, err
	}
	if len(s.token) > e.cfg.MaxTokenSize {
		return s, endWith(TokenTooLarge, "the enriched token has %d bytes, more than %d", len(s.token), e.cfg.MaxTokenSize)
	}
	return s, nil
}
