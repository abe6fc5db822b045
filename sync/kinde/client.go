// Package kinde reads the applications, organizations and users of a Kinde
// tenant through its management API. What it can't read is an error, and never an
// absent record or property.
package kinde

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"m2m-token-enricher/schema"
)

// requestTimeout is how long a request and its answer may take.
const requestTimeout = 30 * time.Second

// ErrNotFound means that the API doesn't know the application, organization or
// user. A 404 that isn't in the API's own form, such as a proxy's, is another
// error.
var ErrNotFound = errors.New("not found at the tenant")

// Credentials are those of an M2M application that may call the management
// API. Both are required.
type Credentials struct {
	ClientID     string
	ClientSecret schema.Secret
}

// Client calls the management API of one tenant. It tries again if the tenant is
// busy, fails or can't be reached. No error shows the client secret or a token.
// Safe for concurrent use.
type Client struct {
	// Warn, if not nil, is called with what is left out of the records, from
	// several goroutines at once. Set it before the first use.
	Warn func(string)
	// Names are those with a meaning in the records. Set them before the first use.
	Names schema.Names

	base        string // without a final slash
	credentials Credentials
	http        *http.Client
	bearer      bearer
	now         func() time.Time
	wait        func(ctx context.Context, d time.Duration) error
}

// New returns a client of the tenant at base, an origin such as
// https://example.kinde.com. Plain http is for loopback only. It doesn't
// connect. The caller must close it.
func New(base string, credentials Credentials) (*Client, error) {
	origin, err := originOf(base)
	if err != nil {
		return nil, fmt.Errorf("tenant %q: %w", base, err)
	}
	if credentials.ClientID == "" || credentials.ClientSecret == "" {
		return nil, fmt.Errorf("tenant %q: a client id and a client secret are required", base)
	}
	return &Client{
		base: origin, credentials: credentials, now: time.Now, wait: wait,
		bearer: bearer{asking: make(chan struct{}, 1)},
		http: &http.Client{
			Transport: http.DefaultTransport.(*http.Transport).Clone(), // Close closes its connections only
			Timeout:   requestTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // credentials go to the tenant only
			},
		},
	}, nil
}

// originOf returns base without a final slash. It can't have a path, because
// paths and the audience are appended to it.
func originOf(base string) (string, error) {
	if err := schema.Fetchable(base); err != nil {
		return "", err
	}
	origin := strings.TrimSuffix(base, "/")
	if u, err := url.Parse(origin); err != nil || origin != u.Scheme+"://"+u.Host {
		return "", errors.New("not a scheme and a host only")
	}
	return origin, nil
}

// String keeps fmt from showing the secrets in the client.
func (c *Client) String() string { return "client of " + c.base }

// GoString is String.
func (c *Client) GoString() string { return c.String() }

func (c *Client) warnf(format string, args ...any) {
	if c.Warn != nil {
		c.Warn(fmt.Sprintf(format, args...))
	}
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// get decodes the API's answer for path and query into into. The error wraps a
// *refusal if the API refused.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	uri := c.base + path
	if len(query) > 0 {
		uri += "?" + query.Encode()
	}
	text, err := c.retry(ctx, func() ([]byte, error) { return c.authorized(ctx, uri) })
	if err != nil {
		return err
	}
	if err := decode(text, into); err != nil {
		return fmt.Errorf("answer of GET %s: %w", path, err)
	}
	return nil
}

// authorized gets uri with a token. If the API refuses the token, because it was
// revoked or clocks differ, a new one is used once.
func (c *Client) authorized(ctx context.Context, uri string) ([]byte, error) {
	token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	text, err := c.getWith(ctx, uri, token)
	if r, ok := errors.AsType[*refusal](err); !ok || r.status != http.StatusUnauthorized {
		return text, err
	}
	c.bearer.drop(token)
	if token, err = c.token(ctx); err != nil {
		return nil, err
	}
	return c.getWith(ctx, uri, token)
}

func (c *Client) getWith(ctx context.Context, uri string, token schema.Secret) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(token))
	return c.exchange(req)
}

// decode decodes text, which must be one JSON object. With null, into would look
// like an answer without members.
func decode(text []byte, into any) error {
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return errors.New("not a JSON object")
	}
	return json.Unmarshal(text, into)
}
