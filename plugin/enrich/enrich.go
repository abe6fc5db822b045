// Package enrich decides one token exchange: whether its token is verified,
// enriched and signed again, passes unchanged, or is refused. It is pure: it
// imports neither Kong nor Redis, and the caller provides the clock.
package enrich

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Dependencies are what decisions need.
type Dependencies struct {
	Verifier Verifier
	Ring     func(context.Context) (Ring, error) // the gateway's current keys; called once an exchange
	Records  Records
	Workflow Workflow // nil without one
	Now      func() time.Time
}

// Verifier verifies the provider's tokens, as [jws.Verifier] does.
type Verifier interface {
	// Verify returns the token if the provider vouches for it now. The error wraps jws.ErrOpaque, jws.ErrKeysUnavailable or jws.ErrUntrusted. Safe
	// for concurrent use.
	Verify(ctx context.Context, token string) (*jws.Token, error)
}

// Ring is the gateway's keys, such as a [jws.Ring]. Safe for concurrent use.
type Ring interface {
	// Has reports whether one of the keys has the RFC 7638 thumbprint.
	Has(thumbprint string) bool
	// KeyID is the kid of the key that signs.
	KeyID() string
	// Sign returns a token of type typ, which is JSON, with payload unchanged.
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

// Complete sets in cfg what its expressions read. The error joins every error in cfg
// that [schema.Parse] can't see, each with its path.
func Complete(cfg *schema.Config) error {
	mappings, err := newMappings(cfg)
	for i, m := range mappings {
		cfg.Claims[i].Reads = m.reads()
	}
	return err
}

// New returns an enricher of a complete configuration.
func New(cfg *schema.Config, deps Dependencies) (*Enricher, error) {
	mappings, err := newMappings(cfg)
	if err != nil {
		return nil, err
	}
	for i, m := range mappings {
		if !slices.Equal(cfg.Claims[i].Reads, m.reads()) {
			return nil, fmt.Errorf("config.claims[%d].expr: the configuration isn't complete", i)
		}
	}
	e := &Enricher{cfg: cfg, deps: deps, mappings: mappings, management: newAudiences(cfg.ManagementAudiences)}
	if cfg.Signing.Issuer != "" {
		if e.issuer, err = splice.Quote(cfg.Signing.Issuer); err != nil {
			return nil, fmt.Errorf("config.signing.issuer: %w", err)
		}
	}
	return e, nil
}

// ReadsIP reports whether an expression reads the client's IP.
func (e *Enricher) ReadsIP() bool {
	return slices.ContainsFunc(e.mappings, func(m mapping) bool { return m.expression != nil && m.expression.ReadsIP() })
}

// With returns an enricher with the same configuration and other dependencies.
func (e *Enricher) With(deps Dependencies) *Enricher {
	other := *e
	other.deps = deps
	return &other
}

// Enrich decides x. It waits no longer than ctx.
func (e *Enricher) Enrich(ctx context.Context, x Exchange) Result {
	var r Result
	err := e.decide(ctx, &x, &r)
	return r.conclude(err, e.cfg)
}

// decide is the pipeline. Each step continues, or ends it with a verdict.
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
	raw, err := response.accessToken(e.cfg.OtherTokens == schema.OtherTokensRefuse)
	if err != nil {
		return err
	}
	token, keys, err := e.verify(ctx, raw, request)
	if err != nil {
		return err
	}
	if r.ClientID, err = e.identify(token, request); err != nil {
		return err
	}
	if r.issued, err = e.enrichment(ctx, token.Claims, x.IP, r); err != nil {
		return err
	}
	signed, err := e.sign(ctx, keys, token, r.ClientID, r.issued.added)
	if err != nil {
		return err
	}
	r.issued.keyID = signed.keyID
	r.Dropped, _ = response.others(e.cfg.OtherTokens == schema.OtherTokensKeep)
	r.Status = response.status
	if r.Body, err = response.with(signed.token, signed.expiresIn, r.Dropped); err != nil {
		return err
	}
	if e.cfg.Reuse.Enabled {
		r.held, r.unfit = e.hold(x, request, response, signed, r)
	}
	return nil
}

// enrichment is every step between the verification and the signature. It returns
// what the verified token of r's client gets now, or ends the exchange. Again takes
// the same steps.
func (e *Enricher) enrichment(ctx context.Context, claims jws.Claims, ip string, r *Result) (issued, error) {
	if err := e.management.check(claims, e.cfg.RejectMixedAudience); err != nil {
		return issued{}, err
	}
	records, err := e.correlate(ctx, r.ClientID, claims)
	if err != nil {
		return issued{}, err
	}
	event := func() Event { return eventOf(ip, e.cfg.Issuer, claims, r.ClientID) }
	mapped, err := e.compose(ctx, claims, records, e.values(event, claims, records))
	if err != nil {
		return issued{}, err
	}
	all, err := e.extend(ctx, event, claims, records, mapped, r)
	if err != nil {
		return issued{}, err
	}
	return issued{claims: claims, organization: records.organization.id, added: lacking(claims, all)}, nil
}
