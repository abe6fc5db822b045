package jws

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"m2m-token-enricher/schema"
)

// How the provider's keys are held.
const (
	fetchTimeout  = 5 * time.Second  // one fetch, discovery included
	freshFor      = 5 * time.Minute  // a held set is fetched anew in the background after this
	heldFor       = 24 * time.Hour   // and not used any more after this
	renewInterval = 10 * time.Second // between fetches for an unknown kid
	retryInterval = time.Second      // between fetches that fail

	maxSetSize  = 64 << 10 // bytes
	maxSetKeys  = 50
	maxMetadata = 64 << 10 // bytes of a discovery document
)

// Provider fetches and holds the JWK set of a provider. A bad answer never
// replaces a held set. Safe for concurrent use; Close ends its fetches.
type Provider struct {
	issuer, jwksURI string
	client          *http.Client
	now             func() time.Time
	flight          singleflight.Group
	ctx             context.Context
	cancel          context.CancelFunc

	mu        sync.Mutex
	held      ProviderKeys
	heldSince time.Time // last good fetch
	tried     time.Time // last fetch, good or not
	renewed   time.Time // last fetch for an unknown kid
	failure   error     // of the last fetch
}

// NewProvider returns a source of issuer's keys. They come from jwksURI or, if
// that is empty, from where the issuer's discovery document says. transport
// may be nil for the default.
func NewProvider(issuer, jwksURI string, transport http.RoundTripper, now func() time.Time) *Provider {
	ctx, cancel := context.WithCancel(context.Background())
	return &Provider{
		issuer: issuer, jwksURI: jwksURI, now: now, ctx: ctx, cancel: cancel,
		client: &http.Client{
			Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // not followed: 3xx is a bad status
			},
		},
	}
}

// Close ends fetches that are under way and fails later ones.
func (p *Provider) Close() { p.cancel() }

// Keys implements [KeySource]. It waits for the provider only if no set is
// held.
func (p *Provider) Keys(ctx context.Context) (ProviderKeys, error) {
	keys, age, failure := p.state()
	switch {
	case keys == nil && failure != nil:
		return nil, failure
	case keys == nil:
		return p.fetch(ctx)
	case age >= freshFor && p.mayRetry():
		p.flight.DoChan("fetch", p.fetchOnce) // ends by itself, nobody waits for it
	}
	return keys, nil
}

// Renewed implements [KeySource]. Requests that come while the provider is
// being asked wait for the same answer.
func (p *Provider) Renewed(ctx context.Context) (ProviderKeys, error) {
	select {
	case <-p.flight.DoChan("renew", p.renewOnce):
		return p.Keys(ctx)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
	}
}

// renewOnce fetches the keys unless that was done a short while ago. Its
// outcome is in p.
func (p *Provider) renewOnce() (any, error) {
	p.mu.Lock()
	due := p.now().Sub(p.renewed) >= renewInterval
	if due {
		p.renewed = p.now()
	}
	p.mu.Unlock()
	if due {
		p.flight.Do("fetch", p.fetchOnce)
	}
	return nil, nil
}

// state returns the held keys and their age, and without usable keys the
// reason for not asking the provider now, if there is one.
func (p *Provider) state() (ProviderKeys, time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if age := now.Sub(p.heldSince); p.held != nil && age < heldFor {
		return p.held, age, nil
	}
	if p.failure != nil && now.Sub(p.tried) < retryInterval {
		return nil, 0, p.failure
	}
	return nil, 0, nil
}

// mayRetry tells whether the time for a background fetch has come. It says so
// to one caller only, which then must make it.
func (p *Provider) mayRetry() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.tried) < renewInterval {
		return false
	}
	p.tried = now
	return true
}

// fetch asks the provider, once for all that wait, each until its own ctx.
func (p *Provider) fetch(ctx context.Context) (ProviderKeys, error) {
	select {
	case r := <-p.flight.DoChan("fetch", p.fetchOnce):
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(ProviderKeys), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
	}
}

func (p *Provider) fetchOnce() (any, error) {
	ctx, cancel := context.WithTimeout(p.ctx, fetchTimeout)
	defer cancel()
	keys, err := p.get(ctx)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried, p.failure = p.now(), err
	if err == nil {
		p.held, p.heldSince = keys, p.tried
	}
	return keys, err
}

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

// ParseProviderKeys reads the keys of a provider's JWK set that signatures can
// be verified with; keys of other uses and types are skipped (RFC 7517,
// section 5). A set without a usable key, or with a private one in it, is an
// error.
func ParseProviderKeys(text []byte) (ProviderKeys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("not a JWK set")
	}
	if len(set.Keys) > maxSetKeys {
		return nil, fmt.Errorf("more than %d keys", maxSetKeys)
	}
	var keys ProviderKeys
	for i, raw := range set.Keys {
		var jwk jose.JSONWebKey
		if jwk.UnmarshalJSON(raw) != nil {
			continue
		}
		if _, symmetric := jwk.Key.([]byte); !symmetric && !jwk.IsPublic() {
			return nil, fmt.Errorf("key %d is private", i+1)
		}
		if key, ok := verifies(jwk, raw); ok {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key that a signature can be verified with")
	}
	return keys, nil
}

func verifies(jwk jose.JSONWebKey, raw []byte) (ProviderKey, bool) {
	var ops struct {
		KeyOps []string `json:"key_ops"`
	}
	if json.Unmarshal(raw, &ops) != nil || (ops.KeyOps != nil && !slices.Contains(ops.KeyOps, "verify")) {
		return ProviderKey{}, false
	}
	if jwk.Use != "" && jwk.Use != "sig" {
		return ProviderKey{}, false
	}
	if k, ok := jwk.Key.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return ProviderKey{}, false
	}
	print, err := thumbprint(jwk)
	if err != nil {
		return ProviderKey{}, false
	}
	return ProviderKey{KeyID: jwk.KeyID, Algorithm: jwk.Algorithm, Public: jwk.Key, Thumbprint: print}, true
}
