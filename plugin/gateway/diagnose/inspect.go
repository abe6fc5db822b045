package diagnose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// Inspection is the content of a token, and what an API that trusts the gateway's
// keys would decide.
type Inspection struct {
	Header   string `json:"header"`
	Payload  string `json:"payload"`
	SignedBy string `json:"signed_by"` // gateway, provider, nobody or unverified
	Accepted bool   `json:"accepted"`
	Why      string `json:"why,omitempty"` // it isn't accepted
}

// Who signed a token.
const (
	byGateway  = "gateway"
	byProvider = "provider"
	byNobody   = "nobody"
	Unverified = "unverified" // nobody's keys were tried
)

// Content shows what is in token, and verifies nothing.
func Content(token string) (*Inspection, error) {
	header, payload, err := jws.Unverified(token)
	if err != nil {
		return nil, fmt.Errorf("the token: %w", err)
	}
	return &Inspection{Header: string(header), Payload: string(payload), SignedBy: Unverified}, nil
}

// Inspect finds the published key that signed token: one of the gateway's at url,
// or one of the provider's. The error wraps jws.ErrKeysUnavailable if a needed set
// can't be fetched.
func Inspect(ctx context.Context, cfg *schema.Config, url, token string) (*Inspection, error) {
	i, err := Content(token)
	if err != nil {
		return nil, err
	}
	i.SignedBy = byNobody
	issuer := cfg.Issuer
	if cfg.Signing.Issuer != "" {
		issuer = cfg.Signing.Issuer
	}
	keys := jws.NewProvider(issuer, url, nil, time.Now)
	defer keys.Close()
	gateway := jws.NewVerifier(issuer, schema.Algorithms, 0, keys, time.Now)
	_, err = gateway.Verify(ctx, token)
	switch {
	case err == nil:
		i.SignedBy, i.Accepted = byGateway, true
		return i, nil
	case errors.Is(err, jws.ErrKeysUnavailable):
		return nil, err
	}
	i.Why = err.Error()
	if _, err := gateway.Payload(ctx, token); err == nil {
		i.SignedBy = byGateway // but a claim is wrong
		return i, nil
	}
	keys = jws.NewProvider(cfg.Issuer, cfg.JWKSURI, nil, time.Now)
	defer keys.Close()
	switch _, err := jws.NewVerifier(cfg.Issuer, schema.Algorithms, 0, keys, time.Now).Payload(ctx, token); {
	case err == nil:
		i.SignedBy = byProvider
		i.Why = "the provider signed it, not the gateway: it isn't enriched"
	case errors.Is(err, jws.ErrKeysUnavailable):
		return nil, err
	}
	return i, nil
}
