package jws

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// How the provider's keys are held.
const (
	fetchTimeout  = 5 * time.Second  // one fetch, discovery included
	freshFor      = 5 * time.Minute  // a held set is fetched anew in the background after this
	heldFor       = 24 * time.Hour   // and not used any more after this
	renewInterval = 10 * time.Second // between fetches for an unknown kid
	retryInterval = time.Second      // between fetches that fail
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
// may be nil for one of its own.
func NewProvider(issuer, jwksURI string, transport http.RoundTripper, now func() time.Time) *Provider {
	if transport == nil {
		transport = http.DefaultTransport.(*http.Transport).Clone() // so that Close can close its connections
	}
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
func (p *Provider) Close() {
	p.cancel()
	p.client.CloseIdleConnections()
}

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
	keys, err := p.getSafely(ctx)
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

// getSafely is get, but for a panic in a parser of what the provider sent: it
// would end the process, since a fetch runs in a goroutine of its own.
func (p *Provider) getSafely(ctx context.Context) (keys ProviderKeys, err error) {
	defer func() {
		if v := recover(); v != nil {
			keys, err = nil, fmt.Errorf("panic of type %T while the keys were read", v)
		}
	}()
	return p.get(ctx)
}
