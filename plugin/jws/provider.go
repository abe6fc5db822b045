package jws

import (
	"context"
	"net/http"
	"time"
)

// Provider fetches and caches what a provider publishes: its JWK set and its
// metadata. A bad answer never replaces a good one. Safe for concurrent use;
// Close ends its fetches.
type Provider struct {
	issuer, jwksURI string
	client          *http.Client
	cancel          context.CancelFunc
	keys            cache[ProviderSet]
	metadata        cache[Metadata]
	tokenEndpoint   cache[string] // one that answers; without get, nobody asks for it
}

// NewProvider returns a source of issuer's keys. They come from jwksURI or, if
// that is empty, from where the issuer's discovery document says. transport may
// be nil for one of its own.
func NewProvider(issuer, jwksURI string, transport http.RoundTripper, now func() time.Time) *Provider {
	if transport == nil {
		transport = http.DefaultTransport.(*http.Transport).Clone() // so Close can close its connections
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Provider{
		issuer: issuer, jwksURI: jwksURI, cancel: cancel,
		client: &http.Client{
			Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // not followed: 3xx is a bad status
			},
		},
	}
	p.keys.get, p.keys.now, p.keys.ctx = p.getKeys, now, ctx
	p.metadata.get, p.metadata.now, p.metadata.ctx = p.getMetadata, now, ctx
	p.tokenEndpoint.now, p.tokenEndpoint.ctx = now, ctx
	return p
}

// Close ends current fetches and fails later ones.
func (p *Provider) Close() {
	p.cancel()
	p.client.CloseIdleConnections()
}

// Keys implements [KeySource]. It waits for the provider only if no set is
// cached.
func (p *Provider) Keys(ctx context.Context) (ProviderKeys, error) {
	set, err := p.keys.current(ctx)
	return set.Keys, err
}

// Renewed implements [KeySource]. The provider is asked once in 10 s, for all
// requests together.
func (p *Provider) Renewed(ctx context.Context) (ProviderKeys, error) {
	set, err := p.keys.renew(ctx)
	return set.Keys, err
}

// Skipped returns the keys of the cached set that verify no token. It doesn't wait
// for the provider.
func (p *Provider) Skipped() []SkippedKey {
	p.keys.mu.Lock()
	defer p.keys.mu.Unlock()
	return p.keys.value.Skipped
}

// KeysState returns when the keys were last fetched, zero if they never were,
// and how many fetches failed.
func (p *Provider) KeysState() (fetched time.Time, failures uint64) {
	p.keys.mu.Lock()
	defer p.keys.mu.Unlock()
	return p.keys.fetched, p.keys.failures
}

// Metadata returns what the issuer's discovery document says. It waits for the
// provider only if none is cached. The error wraps ErrKeysUnavailable.
func (p *Provider) Metadata(ctx context.Context) (Metadata, error) { return p.metadata.current(ctx) }
