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
	Verifier *jws.Verifier
	Ring     func(context.Context) (*jws.Ring, error) // the gateway's keys as they are now
	Records  Records
	Now      func() time.Time

	// Step is told of the steps verify, lookup and sign when they have ended, with
	// the context of Enrich and the time at which the step began. Nil: nobody is,
	// and nothing is measured.
	Step func(ctx context.Context, step string, begun time.Time)
}

// Enricher decides exchanges by one configuration. Safe for concurrent use.
type Enricher struct {
	cfg        *schema.Config
	deps       Dependencies
	mappings   []mapping
	management audiences
	issuer     jsontext.Value // the gateway's, nil if the provider's stays
}

// Validate returns every mistake in cfg that [schema.Written] can't see, each
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

// Enrich decides x. It waits for nothing beyond ctx.
func (e *Enricher) Enrich(ctx context.Context, x Exchange) Result {
	var r Result
	err := e.decide(ctx, &x, &r)
	return settle(r, err, e.cfg)
}

// decide is the pipeline: each step either goes on or ends the exchange with
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
	begun := e.begin()
	token, err := e.verify(ctx, raw)
	e.end(ctx, "verify", begun)
	if err != nil {
		return err
	}
	if r.ClientID, err = e.identify(token, request); err != nil {
		return err
	}
	verified, err := token.Claims.GetAudience()
	if err != nil {
		return err
	}
	r.seen = seen{e.cfg.Issuer, x, request, verified}
	if err := e.checkAudience(verified); err != nil {
		return err
	}
	begun = e.begin()
	known, err := e.correlate(ctx, r.ClientID)
	e.end(ctx, "lookup", begun)
	if err != nil {
		return err
	}
	claims, err := e.compose(token, known)
	if err != nil {
		return err
	}
	begun = e.begin()
	signed, err := e.sign(ctx, token, claims)
	e.end(ctx, "sign", begun)
	if err != nil {
		return err
	}
	r.issued = issued{token.Claims, known.organization.id, claims, signed.keyID}
	r.Status, r.Body = response.status, response.with(signed.token, signed.expiresIn)
	return nil
}

// begin returns when a step begins, if that is measured.
func (e *Enricher) begin() time.Time {
	if e.deps.Step == nil {
		return time.Time{}
	}
	return time.Now()
}

func (e *Enricher) end(ctx context.Context, step string, begun time.Time) {
	if e.deps.Step != nil {
		e.deps.Step(ctx, step, begun)
	}
}
