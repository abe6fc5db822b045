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

// Bounds of what a provider publishes, in bytes.
const (
	maxSetSize  = 64 << 10
	maxMetadata = 64 << 10
)

// get fetches the provider's keys.
func (p *Provider) get(ctx context.Context) (ProviderKeys, error) {
	uri := p.jwksURI
	if uri == "" {
		var err error
		if uri, err = p.discover(ctx); err != nil {
			return nil, err
		}
	}
	text, err := p.getJSON(ctx, uri, maxSetSize)
	if err != nil {
		return nil, err
	}
	keys, err := ParseProviderKeys(text)
	if err != nil {
		return nil, fmt.Errorf("JWK set at %s: %w", uri, err)
	}
	return keys, nil
}

// discover returns the jwks_uri of the issuer's metadata: OpenID Connect
// Discovery 1.0 section 4, or RFC 8414 section 3 where there is none.
func (p *Provider) discover(ctx context.Context) (string, error) {
	text, err := p.getJSON(ctx, strings.TrimSuffix(p.issuer, "/")+"/.well-known/openid-configuration", maxMetadata)
	if err != nil {
		u, uerr := url.Parse(p.issuer)
		if uerr != nil {
			return "", uerr
		}
		path := strings.TrimSuffix(u.Path, "/")
		u.Path = "/.well-known/oauth-authorization-server" + path
		var second error
		if text, second = p.getJSON(ctx, u.String(), maxMetadata); second != nil {
			return "", errors.Join(err, second)
		}
	}
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &metadata); err != nil {
		return "", fmt.Errorf("discovery document of %s: %w", p.issuer, err)
	}
	if metadata.Issuer != p.issuer { // RFC 8414 section 3.3
		return "", fmt.Errorf("discovery document of %s is that of issuer %q", p.issuer, metadata.Issuer)
	}
	if err := schema.Fetchable(metadata.JWKSURI); err != nil {
		return "", fmt.Errorf("discovery document of %s: jwks_uri %q: %w", p.issuer, metadata.JWKSURI, err)
	}
	return metadata.JWKSURI, nil
}

func (p *Provider) getJSON(ctx context.Context, uri string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err // it names the method and the URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: status %d", uri, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", uri, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("get %s: more than %d bytes", uri, limit)
	}
	return text, nil
}
