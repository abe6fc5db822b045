package jws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"m2m-token-enricher/schema"
)

// maxAnswer bounds what a provider publishes, in bytes.
const maxAnswer = 64 << 10

// Metadata is what the gateway needs of an issuer's discovery document.
type Metadata struct {
	Issuer        string `json:"issuer"`
	JWKSURI       string `json:"jwks_uri"`
	TokenEndpoint string `json:"token_endpoint"`
	// AuthMethods and AuthAlgorithms say how clients authenticate at the token
	// endpoint (RFC 8414, section 2). Nil if the document doesn't say.
	AuthMethods    []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	Scopes         []string `json:"scopes_supported"`
}

func (p *Provider) getKeys(ctx context.Context) (ProviderSet, error) {
	p.knownTokenEndpoint() // it has to be known before it is silent
	uri := p.jwksURI
	if uri == "" {
		metadata, err := p.getMetadata(ctx)
		if err != nil {
			return ProviderSet{}, err
		}
		uri = metadata.JWKSURI
	}
	text, err := p.getJSON(ctx, uri)
	if err != nil {
		return ProviderSet{}, err
	}
	set, err := ParseProviderSet(text)
	if err != nil {
		return ProviderSet{}, fmt.Errorf("JWK set at %s: %w", uri, err)
	}
	return set, nil
}

// getMetadata fetches the issuer's discovery document: that of OpenID Connect
// Discovery 1.0 section 4 or, if there is none, of RFC 8414 section 3.
func (p *Provider) getMetadata(ctx context.Context) (Metadata, error) {
	text, err := p.getJSON(ctx, p.discoveryURI())
	if err != nil {
		u, parseErr := url.Parse(p.issuer)
		if parseErr != nil {
			return Metadata{}, parseErr
		}
		u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
		var second error
		if text, second = p.getJSON(ctx, u.String()); second != nil {
			return Metadata{}, errors.Join(err, second)
		}
	}
	metadata, err := parseMetadata(text, p.issuer)
	if err != nil {
		return Metadata{}, fmt.Errorf("discovery document of %s: %w", p.issuer, err)
	}
	return metadata, nil
}

// parseMetadata reads the discovery document of issuer. It must name that issuer
// exactly (RFC 8414, section 3.3) and may lead only where [schema.FetchableFor]
// allows.
func parseMetadata(text []byte, issuer string) (Metadata, error) {
	var document Metadata
	if err := json.Unmarshal(schema.WithoutMark(text), &document); err != nil {
		return Metadata{}, err
	}
	if document.Issuer != issuer {
		return Metadata{}, fmt.Errorf("it is that of issuer %q", document.Issuer)
	}
	if err := schema.FetchableFor(issuer, document.JWKSURI); err != nil {
		return Metadata{}, fmt.Errorf("jwks_uri %q: %w", document.JWKSURI, err)
	}
	return document, nil
}

func (p *Provider) discoveryURI() string {
	return strings.TrimSuffix(p.issuer, "/") + "/.well-known/openid-configuration"
}

// get asks for JSON. The error names the method and the URL.
func (p *Provider) get(ctx context.Context, uri string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	return p.client.Do(req)
}

func (p *Provider) getJSON(ctx context.Context, uri string) ([]byte, error) {
	resp, err := p.get(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: status %d%s", uri, resp.StatusCode, redirection(resp))
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", uri, err)
	}
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("get %s: more than %d bytes", uri, maxAnswer)
	}
	return text, nil
}

// redirection says where resp leads, without the query, which may have a secret.
// It is empty if resp is no redirect.
func redirection(resp *http.Response) string {
	to, err := resp.Location()
	if err != nil || resp.StatusCode/100 != 3 {
		return ""
	}
	at := url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path, RawPath: to.RawPath}
	return fmt.Sprintf(", a redirect to %.200q; redirects aren't followed: set jwks_uri to where the keys are", at.String())
}
