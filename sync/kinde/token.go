package kinde

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"m2m-token-enricher/schema"
)

const (
	maxMargin   = time.Minute    // a token is replaced at most this long before it expires
	maxLifetime = 24 * time.Hour // and after this time, even if it would live longer
)

// bearer is the cached token for the API.
type bearer struct {
	asking chan struct{} // full while one caller asks for a token

	mu       sync.Mutex
	token    schema.Secret
	until    time.Time     // zero: dropped, or none yet
	previous schema.Secret // some requests may still have it
}

// token returns a token for the API. One caller asks for it while the others
// wait, each until its own ctx ends. If that fails, the next one asks.
func (c *Client) token(ctx context.Context) (schema.Secret, error) {
	if token, ok := c.bearer.valid(c.now()); ok {
		return token, nil
	}
	select {
	case c.bearer.asking <- struct{}{}:
	case <-ctx.Done():
		return "", tenantError{fmt.Errorf("wait for a token: %w", ctx.Err())}
	}
	defer func() { <-c.bearer.asking }()
	if token, ok := c.bearer.valid(c.now()); ok {
		return token, nil // another caller has it now
	}
	token, lifetime, err := c.requestToken(ctx)
	if err != nil {
		return "", tenantError{fmt.Errorf("get a token: %w", err)}
	}
	c.bearer.set(token, c.now().Add(lifetime-min(maxMargin, lifetime/10)))
	return token, nil
}

// requestToken asks the token endpoint (RFC 6749, section 4.4).
func (c *Client) requestToken(ctx context.Context) (schema.Secret, time.Duration, error) {
	text, err := c.retry(ctx, func() ([]byte, error) { return c.grant(ctx) })
	if err != nil {
		return "", 0, &opaque{err.Error(), err} // it must not count as the API's refusal
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"` // s
	}
	if err := decode(text, &answer); err != nil {
		return "", 0, err
	}
	switch {
	case !isToken(answer.AccessToken):
		return "", 0, errors.New("access_token: not one of RFC 6750, section 2.1")
	case !strings.EqualFold(answer.TokenType, "bearer"):
		return "", 0, errors.New("token_type: not bearer")
	case answer.ExpiresIn <= 0:
		return "", 0, errors.New("expires_in: not in the future")
	}
	lifetime := time.Duration(min(answer.ExpiresIn, int64(maxLifetime/time.Second))) * time.Second
	return schema.Secret(answer.AccessToken), lifetime, nil
}

func (c *Client) grant(ctx context.Context) ([]byte, error) {
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {c.credentials.ClientID},
		"client_secret": {string(c.credentials.ClientSecret)},
		"audience":      {c.base + "/api"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.exchange(req)
}

// isToken reports whether s can be a token in a header (RFC 6750, section 2.1).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (b *bearer) valid(now time.Time) (schema.Secret, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.token, now.Before(b.until)
}

func (b *bearer) set(token schema.Secret, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.token, b.until, b.previous = token, until, b.token
}

// drop drops token, unless another caller has replaced it already.
func (b *bearer) drop(token schema.Secret) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.token == token {
		b.until = time.Time{}
	}
}

// issued returns the tokens that an error must not show.
func (b *bearer) issued() []schema.Secret {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc([]schema.Secret{b.token, b.previous}, func(s schema.Secret) bool { return s == "" })
}
