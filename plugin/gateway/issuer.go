package gateway

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// issuer is the gateway as an issuer of its own. The zero issuer is none.
type issuer struct {
	paths  []string // of its metadata
	origin string   // scheme and host of its URL
}

// newIssuer returns the issuer of cfg, or the zero one.
func newIssuer(cfg *schema.Config) (issuer, error) {
	if cfg.Signing.Issuer == "" {
		return issuer{}, nil
	}
	u, err := url.Parse(cfg.Signing.Issuer)
	if err != nil {
		return issuer{}, fmt.Errorf("config.signing.issuer: %w", err)
	}
	path := strings.TrimSuffix(u.Path, "/")
	return issuer{
		origin: u.Scheme + "://" + u.Host,
		paths: []string{
			"/.well-known/oauth-authorization-server" + path, // RFC 8414 section 3.1
			path + "/.well-known/openid-configuration",       // OpenID Connect Discovery 1.0 section 4
			"/.well-known/openid-configuration" + path,       // RFC 8414 section 5
		},
	}, nil
}

// metadata is the issuer's discovery document (RFC 8414, section 2; the
// members that OpenID Connect Discovery 1.0 section 3 requires are there for
// its client libraries). Only client_credentials is listed: tokens of other
// grants stay the provider's own.
type metadata struct {
	Issuer         string   `json:"issuer"`
	TokenEndpoint  string   `json:"token_endpoint"`
	JWKSURI        string   `json:"jwks_uri"`
	Grants         []string `json:"grant_types_supported"`
	AuthMethods    []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	AuthAlgorithms []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	Scopes         []string `json:"scopes_supported,omitempty"`
	ResponseTypes  []string `json:"response_types_supported"`
	SubjectTypes   []string `json:"subject_types_supported"`
	Algorithms     []string `json:"id_token_signing_alg_values_supported"`
}

// document returns the issuer's metadata: its own URL and keys, the token
// endpoint at the provider's path on the gateway, and what the provider says of
// how clients authenticate there.
func (i issuer) document(cfg *schema.Config, ring *jws.Ring, provider jws.Metadata) ([]byte, error) {
	endpoint, err := url.Parse(provider.TokenEndpoint)
	if err != nil || endpoint.Host == "" || !strings.HasPrefix(endpoint.Path, "/") { // otherwise the path could continue the gateway's host
		return nil, fmt.Errorf("the provider's metadata has no URL of a token endpoint: %q", provider.TokenEndpoint)
	}
	return json.Marshal(metadata{
		Issuer:         cfg.Signing.Issuer,
		TokenEndpoint:  i.origin + endpoint.EscapedPath(),
		JWKSURI:        i.origin + cfg.Signing.JWKSPath,
		Grants:         []string{"client_credentials"},
		AuthMethods:    provider.AuthMethods,
		AuthAlgorithms: provider.AuthAlgorithms,
		Scopes:         provider.Scopes,
		ResponseTypes:  []string{},
		SubjectTypes:   []string{"public"},
		Algorithms:     algorithms(ring),
	})
}

// algorithms returns those of all keys: one of them signs next.
func algorithms(ring *jws.Ring) []string {
	var list []string
	for _, key := range ring.Keys() {
		if !slices.Contains(list, key.Algorithm) {
			list = append(list, key.Algorithm)
		}
	}
	return list
}
