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

// Of a token's lifetime: how long before its end it is replaced, at most, and
// how long one is held, however long the tenant says that it lives.
const (
	maxMargin   = time.Minute
	maxLifetime = 24 * time.Hour
)

// bearer is the token that is held for the API.
type bearer struct {
	turn chan struct{} // full while one caller asks for a token

	mu     sync.Mutex
	token  schema.Secret
	until  time.Time     // zero: dropped, or none yet
	former schema.Secret // the token before, which some requests may still have
}

// token returns a token for the API. One caller asks for it while the others
// wait, each until the end of its own ctx; if asking failed, the next one asks.
func (c *Client) token(ctx context.Context) (schema.Secret, error) {
	if token, ok := c.bearer.valid(c.now()); ok {
		return token, nil
	}
	select {
	case c.bearer.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ofTenant{fmt.Errorf("wait for a token: %w", ctx.Err())}
	}
	defer func() { <-c.bearer.turn }()
	if token, ok := c.bearer.valid(c.now()); ok {
		return token, nil // another caller asked meanwhile
	}
	token, lifetime, err := c.requestToken(ctx)
	if err != nil {
		return "", ofTenant{fmt.Errorf("get a token: %w", err)}
	}
	c.bearer.hold(token, c.now().Add(lifetime-min(maxMargin, lifetime/10)))
	return token, nil
}

// requestToken asks the token endpoint (RFC 6749, section 4.4).
func (c *Client) requestToken(ctx context.Context) (schema.Secret, time.Duration, error) {
	text, err := c.persist(ctx, func() ([]byte, error) { return c.grant(ctx) })
	if err != nil {
		return "", 0, &opaque{err.Error(), err} // or a refusal would count as the API's
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
		return "", 0, errors.New("expires_in: not a time to come")
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

// isToken tells whether s can be a token in a header (RFC 6750, section 2.1).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (b *bearer) valid(now time.Time) (schema.Secret, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.token, now.Before(b.until)
}

func (b *bearer) hold(token schema.Secret, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.token, b.until, b.former = token, until, b.token
}

// drop ends the use of token, unless another caller has replaced it already.
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
	return slices.DeleteFunc([]schema.Secret{b.token, b.former}, func(s schema.Secret) bool { return s == "" })
}
