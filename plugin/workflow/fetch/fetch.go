// Package fetch answers the requests of a workflow. What it asks of the tenant
// is answered from the records, and never leaves the gateway. Other hosts are asked
// over https if the operator allows them.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"m2m-token-enricher/schema"
)

// Limits in bytes, and of a request's headers.
const (
	maxURL        = 8 << 10
	maxBody       = 256 << 10
	maxAnswer     = 256 << 10
	maxHeaders    = 64
	maxHeaderSize = 16 << 10 // of all names and values
	maxRedirects  = 5
)

// Request is one request of a workflow.
type Request struct {
	Method string // empty means GET; in any letter case
	URL    string
	Header map[string]string
	Body   string
}

// Response is the answer to a Request.
type Response struct {
	Status int
	Body   []byte
}

// Related returns the record of kind that belongs to the exchange's application, and
// its identifier. id is "" if the application names none.
type Related = func(kind schema.Kind) (id string, record schema.Record, err error)

// Client answers the requests of one configuration's workflow. Safe for concurrent
// use; Close closes its connections.
type Client struct {
	tenant  target
	base    string          // the path of the tenant's domain, without a final slash
	allowed map[target]bool // the operator's hosts
	http    *http.Client
}

// New returns a client for the tenant at domain. It connects to allowHosts alone,
// each a host or a host and a port. One that [schema.CheckAllowHost] refuses is never asked.
// transport may be nil for one of its own, with the environment's proxy.
func New(domain string, allowHosts []string, transport http.RoundTripper) *Client {
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone() // so Close can close its connections
		own.MaxResponseHeaderBytes = maxAnswer
		transport = own
	}
	c := &Client{allowed: map[target]bool{}, http: &http.Client{Transport: transport, CheckRedirect: sameTarget}}
	if u, err := url.Parse(domain); err == nil {
		c.tenant, _ = targetOf(u) // no URL leads to the zero target
		c.base = strings.TrimSuffix(u.EscapedPath(), "/")
	}
	for _, s := range allowHosts {
		if host, port, err := schema.HostPort(s); err == nil && schema.CheckAllowHost(domain, s) == nil {
			c.allowed[newTarget("https", host, port)] = true
		}
	}
	return c
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// Do answers r. related leads from the exchange's application, which is clientID, to
// its records; an error of related is returned, wrapped. Another host is waited for no
// longer than ctx. No error shows a query, a header or a body.
func (c *Client) Do(ctx context.Context, r Request, clientID string, related Related) (Response, error) {
	r.Method = strings.ToUpper(r.Method)
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	switch {
	case !slices.Contains(methods, r.Method):
		return Response{}, fmt.Errorf("method %.20q is not one of %s", r.Method, strings.Join(methods, ", "))
	case len(r.URL) > maxURL:
		return Response{}, fmt.Errorf("a URL of more than %d bytes", maxURL)
	case len(r.Body) > maxBody:
		return Response{}, fmt.Errorf("a body of more than %d bytes", maxBody)
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return Response{}, errors.New("not a URL") // err shows all of it
	}
	at, err := targetOf(u)
	if err != nil {
		return Response{}, err
	}
	if at == c.tenant {
		return c.fromRecords(r, u, clientID, related)
	}
	if err := c.mayAsk(at); err != nil {
		return Response{}, err
	}
	return c.ask(ctx, r, u, at)
}

// mayAsk returns an error unless at is one of the operator's hosts.
func (c *Client) mayAsk(at target) error {
	switch {
	case at.host == c.tenant.host:
		return fmt.Errorf("%s is the tenant's host, and the tenant is %s: write that, and it is answered from the records", at, c.tenant)
	case at.scheme != "https":
		return fmt.Errorf("%s: only https URLs are asked", at)
	case !c.allowed[at]:
		return fmt.Errorf("%s isn't in workflow.allow_hosts; add it there if the workflow may ask it", at.authority())
	}
	return nil
}

// target is where a URL leads: one port of one host.
type target struct{ scheme, host, port string }

func newTarget(scheme, host, port string) target {
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	return target{scheme, host, port}
}

// targetOf returns where u leads. It is an error if another reader of u could be
// led elsewhere.
func targetOf(u *url.URL) (target, error) {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return target{}, errors.New("not an absolute https URL")
	case u.User != nil:
		return target{}, errors.New("a URL with a user; send an Authorization header instead")
	}
	host, port, err := schema.HostPort(u.Host)
	if err != nil {
		return target{}, fmt.Errorf("host %.100q: %w", u.Host, err)
	}
	return newTarget(u.Scheme, host, port), nil
}

// authority is the host, and the port if it isn't that of https.
func (t target) authority() string {
	if t.port == "443" && t.scheme == "https" {
		return strings.TrimSuffix(net.JoinHostPort(t.host, ""), ":")
	}
	return net.JoinHostPort(t.host, t.port)
}

func (t target) String() string { return t.scheme + "://" + t.authority() }
