// Package enrich decides what becomes of one token exchange. It is pure: it
// knows no Kong and no Redis and no clock but the one it is given.
package enrich

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Dependencies are what a decision asks.
type Dependencies struct {
	Verifier Verifier
	Ring     func(context.Context) (Ring, error) // the gateway's keys as they are now; asked once an exchange
	Records  Records
	Now      func() time.Time
}

// Verifier verifies the provider's tokens, as [jws.Verifier] does.
type Verifier interface {
	// Verify returns token's claims if the provider vouches for them now. The
	// error wraps jws.ErrOpaque, jws.ErrKeysUnavailable or jws.ErrUntrusted. Safe
	// for concurrent use.
	Verify(ctx context.Context, token string) (*jws.Token, error)
}

// Ring is the gateway's keys, as [jws.Ring] has them. Safe for concurrent use.
type Ring interface {
	// Holds reports whether the key with an RFC 7638 thumbprint is one of them.
	Holds(thumbprint string) bool
	// KeyID is the kid of the key that signs.
	KeyID() string
	// Sign returns a token of type typ, JSON, with payload as it is.
	Sign(ctx context.Context, typ jsontext.Value, payload []byte) (string, error)
}

// Enricher decides exchanges by one configuration. Safe for concurrent use.
type Enricher struct {
	cfg        *schema.Config
	deps       Dependencies
	mappings   []mapping
	management audiences
	issuer     jsontext.Value // the gateway's, nil if the provider's stays
}

// Validate returns every mistake in cfg that [schema.Parse] can't see, each
// with its path.
func Validate(cfg *schema.Config) error {
	_, err := newMappings(cfg.Claims)
	return err
}

// New returns an enricher. The error is that of [Validate].
func New(cfg *schema.Config, deps Dependencies) (*Enricher, error) {
	mappings, err := newMappings(cfg.Claims)
	if err != nil {
		return nil, err
	}
	e := &Enricher{cfg: cfg, deps: deps, mappings: mappings, management: newAudiences(cfg.ManagementAudiences)}
	if cfg.Signing.Issuer != "" {
		if e.issuer, err = splice.Quote(cfg.Signing.Issuer); err != nil {
			return nil, fmt.Errorf("config.signing.issuer: %w", err)
		}
	}
	return e, nil
}

// With returns an enricher by the same configuration that asks other
// dependencies.
func (e *Enricher) With(deps Dependencies) *Enricher {
	other := *e
	other.deps = deps
	return &other
}

// Enrich decides x. It waits for nothing beyond ctx.
func (e *Enricher) Enrich(ctx context.Context, x Exchange) Result {
	var r Result
	err := e.decide(ctx, &x, &r)
	return settle(r, err, e.cfg)
}

// decide is the pipeline: each step either continues or ends the exchange with
// an outcome.
func (e *Enricher) decide(ctx context.Context, x *Exchange, r *Result) error {
	response, err := readResponse(x)
	r.Token = response.mayCarry
	if err != nil {
		return err
	}
	request, err := readRequest(x)
	if err != nil {
		return err
	}
	raw, err := response.accessToken()
	if err != nil {
		return err
	}
	token, err := e.verify(ctx, raw)
	if err != nil {
		return err
	}
	keys := e.ownKeys(ctx)
	if err := keys.checkSigner(token); err != nil {
		return err
	}
	if r.ClientID, err = e.identify(token, request); err != nil {
		return err
	}
	if err := e.management.check(token, e.cfg.RejectMixedAudience); err != nil {
		return err
	}
	known, err := e.correlate(ctx, r.ClientID)
	if err != nil {
		return err
	}
	claims, err := e.compose(token, known)
	if err != nil {
		return err
	}
	signed, err := e.sign(ctx, keys, token, claims)
	if err != nil {
		return err
	}
	r.issued = issued{token.Claims, known.organization.id, claims, signed.keyID}
	r.Status, r.Body = response.status, response.with(signed.token, signed.expiresIn)
	return nil
}
