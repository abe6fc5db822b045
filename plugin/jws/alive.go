package jws

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"m2m-token-enricher/schema"
)

// Alive asks the provider for a sign of life, by a GET without credentials: its token
// endpoint if that is known (see [Provider.ProbeTokenEndpoint]), otherwise its JWK set
// or, without a configured one, its discovery document. It returns an error if nothing
// or 5xx comes back, or 429 from the token endpoint: any other answer is a sign of
// life. It changes nothing of the cached keys, and waits no longer than ctx.
func (p *Provider) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	defer context.AfterFunc(p.keys.ctx, cancel)()
	_, err := recovered(func() (_ struct{}, err error) {
		if uri := p.knownTokenEndpoint(); uri != "" {
			return struct{}{}, p.askTokenEndpoint(ctx, uri)
		}
		return struct{}{}, p.touch(ctx, cmp.Or(p.jwksURI, p.discoveryURI()), false)
	})
	return err
}

// ProbeTokenEndpoint makes Alive ask the token endpoint that the issuer's discovery
// document names. It must be called before p is used.
//
// The endpoint is known once it has given a sign of life, so that one that the gateway
// can't reach is never taken for a failing provider. From then on its silence counts,
// for a day.
func (p *Provider) ProbeTokenEndpoint() { p.tokenEndpoint.get = p.getTokenEndpoint }

// knownTokenEndpoint returns the token endpoint to ask, "" if there is none. It doesn't
// wait: what is due to be fetched is fetched in the background.
func (p *Provider) knownTokenEndpoint() string {
	if p.tokenEndpoint.get == nil {
		return ""
	}
	return p.tokenEndpoint.cached()
}

// getTokenEndpoint returns the token endpoint if it may be asked and answers.
func (p *Provider) getTokenEndpoint(ctx context.Context) (string, error) {
	metadata, err := p.metadata.current(ctx)
	if err != nil {
		return "", err
	}
	uri := metadata.TokenEndpoint
	if err := schema.FetchableFor(p.issuer, uri); err != nil {
		return "", fmt.Errorf("token_endpoint %q: %w", uri, err)
	}
	return uri, p.askTokenEndpoint(ctx, uri)
}

func (p *Provider) askTokenEndpoint(ctx context.Context, uri string) error {
	return p.touch(ctx, uri, true)
}

// touch looks at the status of the answer alone. limited says that 429 is an error.
func (p *Provider) touch(ctx context.Context, uri string, limited bool) error {
	resp, err := p.get(ctx, uri)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusInternalServerError || limited && resp.StatusCode == http.StatusTooManyRequests {
		return fmt.Errorf("get %s: status %d", uri, resp.StatusCode)
	}
	return nil
}
