package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

// ask sends r, whose URL is u, to the allowed host at.
func (c *Client) ask(ctx context.Context, r Request, u *url.URL, at target) (Response, error) {
	fail := func(err error) (Response, error) {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer in time: %w", ctx.Err())
		}
		return Response{}, fmt.Errorf("%s %s: %w", r.Method, at, err)
	}
	header, err := headerOf(r.Header)
	if err != nil {
		return fail(err)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, at.String(), strings.NewReader(r.Body))
	if err != nil {
		return fail(errors.New("not a request that can be sent")) // err may show the URL
	}
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery, req.Header = u.Path, u.RawPath, u.RawQuery, header
	resp, err := c.http.Do(req)
	if err != nil {
		return fail(reason(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil || ctx.Err() != nil: // the host may end its answer when it sees that it is late
		return fail(reason(err))
	case len(body) > maxAnswer:
		return fail(fmt.Errorf("an answer of more than %d bytes", maxAnswer))
	}
	return Response{resp.StatusCode, body}, nil
}

// refusedRedirect says why a redirect isn't followed.
type refusedRedirect string

func (r refusedRedirect) Error() string { return string(r) }

// sameTarget follows a redirect only to where the first request went.
func sameTarget(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return refusedRedirect(fmt.Sprintf("more than %d redirects", maxRedirects))
	}
	first, err := targetOf(via[0].URL)
	if err != nil {
		return err
	}
	if at, err := targetOf(req.URL); err != nil || at != first {
		return refusedRedirect("a redirect to another host, which isn't followed; ask that host directly")
	}
	return nil
}

// reason says why there is no answer. Other errors of the HTTP client may repeat a
// part of the URL or of the answer.
func reason(err error) error {
	if redirect, ok := errors.AsType[refusedRedirect](err); ok {
		return redirect
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("its address can't be found: %s", dns.Err)
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("its certificate can't be verified: %w", certificate.Err)
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return errors.New("no valid answer over https")
}

// connectionHeaders are those that belong to the connection, not to the message
// (RFC 9110, section 7.6), or that decide how its body is sent.
var connectionHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func headerOf(given map[string]string) (http.Header, error) {
	header, size := http.Header{"User-Agent": {"m2m-token-enricher"}}, 0
	if len(given) > maxHeaders {
		return nil, fmt.Errorf("more than %d headers", maxHeaders)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		key, value := http.CanonicalHeaderKey(name), given[name]
		size += len(name) + len(value)
		switch {
		case !isToken(name):
			return nil, errors.New("a header whose name isn't a token (RFC 9110, section 5.1)")
		case slices.Contains(connectionHeaders, key):
			return nil, fmt.Errorf("the header %s can't be set; the gateway sets it", key)
		case strings.ContainsFunc(value, isControl):
			return nil, errors.New("a header whose value has a control character")
		case size > maxHeaderSize:
			return nil, fmt.Errorf("headers of more than %d bytes", maxHeaderSize)
		}
		header[key] = []string{strings.TrimSpace(value)}
	}
	return header, nil
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
