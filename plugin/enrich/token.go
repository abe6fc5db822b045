package enrich

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// ownKeys are the gateway's keys. The ring that a token's key is compared with
// is also the one that signs.
type ownKeys struct {
	ring Ring
	err  error // why there is no ring; only an exchange that would be signed fails
}

// verify returns the provider's token if the provider vouches for it. The
// gateway's own signature doesn't count: the token came through a loop of routes,
// or the provider's keys are the gateway's.
func (e *Enricher) verify(ctx context.Context, raw string, request tokenRequest) (*jws.Token, ownKeys, error) {
	token, err := e.deps.Verifier.Verify(ctx, raw)
	switch {
	case errors.Is(err, jws.ErrOpaque):
		return nil, ownKeys{}, &verdict{OpaqueToken, err}
	case errors.Is(err, jws.ErrKeysUnavailable):
		return nil, ownKeys{}, &verdict{KeysUnavailable, err}
	case err != nil:
		return nil, ownKeys{}, e.untrusted(raw, request, err)
	}
	ring, err := e.deps.Ring(ctx)
	if err == nil && ring.Has(token.Key) {
		return nil, ownKeys{}, decided(UntrustedToken, "%w: it is signed with the gateway's own key", jws.ErrUntrusted)
	}
	return token, ownKeys{ring, err}, nil
}

// untrusted returns the verdict on a token whose verification failed. Some providers'
// own APIs get tokens that nobody else can verify, such as Microsoft Graph. If the
// operator lets them pass, every audience must be a management audience, and the
// client that the token names, if any, must be the one that asked. Nothing is signed, and an API that trusts
// the gateway's keys refuses the token.
func (e *Enricher) untrusted(raw string, request tokenRequest, cause error) error {
	refused := &verdict{UntrustedToken, cause}
	if e.cfg.UnverifiedManagement != schema.UnverifiedPass {
		return refused
	}
	claims, err := jws.UnverifiedClaims(raw)
	if err != nil || claims.Alike("aud") != "" {
		return refused
	}
	if in, others, err := e.management.count(claims); err != nil || in == 0 || others > 0 {
		return refused
	}
	if _, err = e.identify(&jws.Token{Claims: claims}, request); err != nil && namesClient(claims, e.cfg.ClientIDClaim) {
		if v, ok := errors.AsType[*verdict](err); ok && v.outcome == ClientMismatch {
			return err
		}
		return refused // two clients, or one that can't be read
	}
	return &verdict{UnverifiedManagement, cause}
}

// identify returns the client that the verified token names. The request must
// not name another.
func (e *Enricher) identify(token *jws.Token, request tokenRequest) (string, error) {
	id, claim, err := tokenClient(token.Claims, e.cfg.ClientIDClaim)
	if err != nil {
		return "", decided(UntrustedToken, "%w: %w", jws.ErrUntrusted, err)
	}
	if request.clientsErr != nil {
		return "", &verdict{ClientMismatch, request.clientsErr}
	}
	for _, c := range request.clients {
		if !c.is(id) {
			return "", decided(ClientMismatch, "%s isn't the token's %q, which is %q: %s", c.where, claim, id, c.differs(id))
		}
	}
	return id, nil
}

// signed is a token that the gateway signed.
type signed struct {
	token     string
	keyID     string
	expiresIn int64 // seconds, if the token's life was shortened, otherwise 0
	at        time.Time
}

// expires returns when the token's life ends. claims are the provider's.
func (s signed) expires(claims jws.Claims) (time.Time, error) {
	if s.expiresIn > 0 {
		return time.Unix(s.at.Unix()+s.expiresIn, 0), nil
	}
	exp, err := claims.GetExpirationTime()
	if err != nil {
		return time.Time{}, err
	}
	return exp.Time, nil // a verified token has one
}

// hold returns the answer in r as it may be given again. The error says why it may
// not.
func (e *Enricher) hold(x *Exchange, request tokenRequest, response tokenResponse, signed signed, r *Result) (*Held, error) {
	claims := r.issued.claims
	if err := request.ownSecret(x.Request); err != nil {
		return nil, err
	}
	if err := response.reusable(claims, r.Dropped); err != nil {
		return nil, err
	}
	expires, err := signed.expires(claims)
	if err != nil {
		return nil, err
	}
	h := &Held{ // which keeps nothing larger: the claims and the body have memory of their own
		ClientID: r.ClientID, KeyID: signed.keyID,
		Signed: signed.at.Round(0), Expires: expires, // Round(0): by the clock on the wall, as Expires
		Body: r.Body, Payload: claims.Bytes(), Added: cloned(r.issued.added),
		claims: claims,
	}
	h.countdowns = countdownsIn(h.Body)
	if err := h.complete(countdownsOf(response.shortened(signed.expiresIn))); err != nil {
		return nil, err
	}
	if least := e.cfg.Reuse.MinRemaining; h.Expires.Sub(h.Signed) <= time.Duration(least)*time.Second {
		return nil, fmt.Errorf("the token's life isn't longer than reuse.min_remaining, which is %d s", least)
	}
	return h, nil
}

// sign returns the token with claims set and the gateway's signature.
func (e *Enricher) sign(ctx context.Context, keys ownKeys, token *jws.Token, clientID string, claims []splice.Member) (s signed, err error) {
	now := e.deps.Now()
	gateway, expiresIn, err := e.gatewayClaims(token.Claims, now)
	if err != nil {
		return s, err
	}
	profile := profile(e.cfg.Signing.Profile)
	required, err := profile.claims(token.Claims, clientID)
	if err != nil {
		return s, err
	}
	if err := cmp.Or(ctx.Err(), keys.err); err != nil {
		return s, fmt.Errorf("sign the token: %w", err)
	}
	s = signed{keyID: keys.ring.KeyID(), expiresIn: expiresIn, at: now}
	payload := token.Claims.With(slices.Concat(claims, required, gateway)...)
	if s.token, err = keys.ring.Sign(ctx, profile.typeOf(token), payload); err != nil {
		return s, err
	}
	if len(s.token) > e.cfg.MaxTokenSize {
		return s, decided(TokenTooLarge, "the enriched token has %d bytes, more than %d", len(s.token), e.cfg.MaxTokenSize)
	}
	return s, nil
}
