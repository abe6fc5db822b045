// Package kinde asks the management API of a Kinde tenant for its applications,
// organizations and users. It decides nothing: what it can't read is an error,
// and never an absent record or property.
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

// requestTimeout is how long one request may take until its answer is read.
const requestTimeout = 30 * time.Second

// ErrNotFound means that the API itself said that it doesn't know the
// application, organization or user. A 404 that isn't in the API's words, as a
// proxy gives it, is another error.
var ErrNotFound = errors.New("not found at the tenant")

// Credentials are those of an M2M application that may call the management
// API. Both are required.
type Credentials struct {
	ClientID     string
	ClientSecret schema.Secret
}

// Client calls the management API of one tenant. It tries again when the
// tenant is busy, failing or out of reach. No error shows the client secret or
// a token. Safe for concurrent use.
type Client struct {
	// Warn is told of what the tenant has and can't be kept, by several
	// goroutines at once. It is set before the client is used. Nil: nobody is.
	Warn func(string)

	base        string // without a slash at its end
	credentials Credentials
	http        *http.Client
	bearer      bearer
	now         func() time.Time
	wait        func(ctx context.Context, d time.Duration) error
}

// New returns a client of the tenant at base, an origin such as
// https://example.kinde.com. Plain http is for loopback only. It doesn't
// connect; Close ends it.
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
		bearer: bearer{turn: make(chan struct{}, 1)},
		http: &http.Client{
			Transport: http.DefaultTransport.(*http.Transport).Clone(), // so that Close can close its connections
			Timeout:   requestTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // credentials go to the tenant only: 3xx is a bad status
			},
		},
	}, nil
}

// originOf returns base without the slash that may end it. Paths are appended
// to it and the audience is derived from it, so it can have none of its own.
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

func (c *Client) warn(text string) {
	if c.Warn != nil {
		c.Warn(text)
	}
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// get reads what the API answers for path and query into the value that into
// points to. The error wraps a *refusal if the API refused.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	uri := c.base + path
	if len(query) > 0 {
		uri += "?" + query.Encode()
	}
	text, err := c.persist(ctx, func() ([]byte, error) { return c.authorized(ctx, uri) })
	if err != nil {
		return err
	}
	if err := decode(text, into); err != nil {
		return fmt.Errorf("answer of GET %s: %w", path, err)
	}
	return nil
}

// authorized asks for uri with a token. One that the API doesn't take, since it
// was revoked or clocks differ, is replaced once.
func (c *Client) authorized(ctx context.Context, uri string) ([]byte, error) {
	token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	text, err := c.ask(ctx, uri, token)
	if r, ok := errors.AsType[*refusal](err); !ok || r.status != http.StatusUnauthorized {
		return text, err
	}
	c.bearer.drop(token)
	if token, err = c.token(ctx); err != nil {
		return nil, err
	}
	return c.ask(ctx, uri, token)
}

func (c *Client) ask(ctx context.Context, uri string, token schema.Secret) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(token))
	return c.exchange(req)
}

// decode reads text, which must be one JSON object: null would leave into as
// it is, and so look like an answer without members.
func decode(text []byte, into any) error {
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return errors.New("not a JSON object")
	}
	return json.Unmarshal(text, into)
}
