package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// Inspection is what a token is, and what an API that trusts the gateway's keys
// would decide.
type Inspection struct {
	Header   string `json:"header"`
	Payload  string `json:"payload"`
	SignedBy string `json:"signed_by"` // gateway, provider or nobody
	Accepted bool   `json:"accepted"`
	Why      string `json:"why,omitempty"` // not
}

// Who signed a token.
const (
	byGateway  = "gateway"
	byProvider = "provider"
	byNobody   = "nobody"
)

// Inspect says which published key signed token: one of the gateway's at url or,
// if that is none of them, one of the provider's.
func Inspect(ctx context.Context, cfg *schema.Config, url, token string) (*Inspection, error) {
	header, payload, err := jws.Unverified(token)
	if err != nil {
		return nil, fmt.Errorf("the token: %w", err)
	}
	i := &Inspection{Header: string(header), Payload: string(payload), SignedBy: byNobody}
	issuer := cfg.Issuer
	if cfg.Signing.Issuer != "" {
		issuer = cfg.Signing.Issuer
	}
	err = vouches(ctx, issuer, url, []string{"RS256", "PS256", "ES256", "EdDSA"}, token)
	switch {
	case err == nil:
		i.SignedBy, i.Accepted = byGateway, true
		return i, nil
	case errors.Is(err, jws.ErrKeysUnavailable):
		return nil, err
	}
	i.Why = err.Error()
	if signs(ctx, issuer, url, token) {
		i.SignedBy = byGateway // but a claim is wrong
		return i, nil
	}
	if signs(ctx, cfg.Issuer, cfg.JWKSURI, token) {
		i.SignedBy = byProvider
		i.Why = "the provider signed it, not the gateway: it isn't enriched"
	}
	return i, nil
}

// vouches returns nil if a key of issuer's set at uri signed token and its
// claims hold now.
func vouches(ctx context.Context, issuer, uri string, algorithms []string, token string) error {
	keys := jws.NewProvider(issuer, uri, nil, time.Now)
	defer keys.Close()
	_, err := jws.NewVerifier(issuer, algorithms, 0, keys, time.Now).Verify(ctx, token)
	return err
}

// signs tells whether a key of the set at uri signed token, whatever it says.
func signs(ctx context.Context, issuer, uri, token string) bool {
	keys := jws.NewProvider(issuer, uri, nil, time.Now)
	defer keys.Close()
	all := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	_, err := jws.NewVerifier(issuer, all, 0, keys, time.Now).Payload(ctx, token)
	return err == nil
}
