package fetch

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var allowHosts = []string{"api.example.com", "Hook.Example.com:8443", "*.wild.example", "tenant.example:8443", "https://url.example", "192.0.2.1", "[2001:db8::1]:9443"}

// Two other readers of the rule: where a request may go, and what the records answer.
var (
	mayLeave = regexp.MustCompile(`(?is)^https://(api\.example\.com(:443)?|hook\.example\.com:8443|192\.0\.2\.1(:443)?|\[2001:db8(:0)*::(0:)*1\]:9443)([/?#].*)?$`)
	atTenant = regexp.MustCompile(`(?is)^https://tenant\.example(:443)?([/?#].*)?$`)
)

// way asks URLs and checks where the requests go.
type way struct {
	*Client
	sent *http.Request // the last request, nil if none left the gateway
}

func newWay(t *testing.T) *way {
	w := &way{}
	w.Client = New(domain, allowHosts, roundTripper(func(r *http.Request) (*http.Response, error) {
		w.sent = r
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
	}))
	return w
}

func (w *way) check(t *testing.T, rawURL string) (left bool) {
	t.Helper()
	w.sent = nil
	response, err := w.Do(t.Context(), Request{URL: rawURL}, clientID, known)
	if r := w.sent; r != nil && (r.URL.Scheme != "https" || r.Host != r.URL.Host || !mayLeave.MatchString("https://"+r.URL.Host) || r.URL.User != nil) {
		t.Errorf("%q went to %s (Host %s), want an allowed host alone", rawURL, r.URL, r.Host)
	}
	switch {
	case w.sent != nil && !mayLeave.MatchString(rawURL):
		t.Errorf("%q opened a connection, want none", rawURL)
	case err == nil && response.Status == http.StatusOK && !atTenant.MatchString(rawURL):
		t.Errorf("%q was answered from the records, want an error", rawURL)
	}
	return w.sent != nil
}

// TestNeighboursOfURLs: every mix of parts, of which one reader or another takes some for an allowed host.
func TestNeighboursOfURLs(t *testing.T) {
	w, left := newWay(t), 0
	for _, scheme := range []string{"https://", "HTTPS://", "http://", "https:", "https:/", "https:///", "//", "", " https://", "https:\\\\", "ftp://", "wss://", "https://https://", "file://"} {
		for _, user := range []string{"", "@", "user@", "api.example.com@", "api.example.com:443@", "a:b@", "api.example.com\\@", "api.example.com%2F@", "api.example.com#@", "api.example.com?@"} {
			for _, host := range []string{
				"api.example.com", "API.example.COM", "hook.example.com", "tenant.example", "Tenant.Example.", "tenant.example.api.example.com", "api.example.com.", "xapi.example.com",
				"api.example.com.evil.example", "a.wild.example", "*.wild.example", "url.example", "192.0.2.1", "192.0.2.001", "3221225985", "0xc0000201", "192.0.513", "[2001:db8::1]",
				"[2001:db8:0::1]", "[::ffff:192.0.2.1]", "2001:db8::1", "api.ex\u0430mple.com", "ａpi.example.com", "api。example.com", "api.example.com\u200b", "api%2eexample.com", "api.example.com%00",
				"api.example.com\\evil.example", "evil.example\\@api.example.com", "evil.example#.api.example.com", "[api.example.com]", "localhost", "169.254.169.254", "",
			} {
				for _, port := range []string{"", ":443", ":8443", ":9443", ":0443", ":", ":80", ":443:443", ":٤٤٣", ":443@evil.example"} {
					for _, path := range []string{"", "/api/v1/organizations", "\\x", "/@evil.example"} {
						if w.check(t, scheme+user+host+port+path) {
							left++
						}
					}
				}
			}
		}
	}
	if left == 0 {
		t.Error("no request reached an allowed host, want some")
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://api.example.com/a?b#c", "https://tenant.example/api/v1/organizations", "https://a@api.example.com", "https://[2001:db8::1]:9443", "https://api.example.com\\@hook.example.com:8443"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { newWay(t).check(t, s) })
}

// TestTenantIsNeverAsked: also if the operator lists it.
func TestTenantIsNeverAsked(t *testing.T) {
	c := New(domain, []string{"tenant.example", "tenant.example:8443", "TENANT.example:80"}, noNetwork(t))
	for _, test := range []struct{ url, want string }{
		{"https://tenant.example/evil", "answered are"},
		{"https://tenant.example:8443/api/v1/organizations", "the tenant is https://tenant.example"},
		{"http://tenant.example/api/v1/organizations", "the tenant is https://tenant.example"},
		{"https://tenant.example./api/v1/organizations", "not a host name"},
		{"https://other.example/", "allow_hosts"},
	} {
		if _, err := c.Do(t.Context(), Request{URL: test.url}, clientID, known); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got the error %v, want %q", test.url, err, test.want)
		}
	}
}

func TestRequestLimits(t *testing.T) {
	const at = "https://api.example.com/"
	many := map[string]string{}
	for c := range maxHeaders + 1 {
		many["X-"+strings.Repeat("a", c+1)] = ""
	}
	for _, test := range []struct {
		name    string
		request Request
		want    string
	}{
		{"method", Request{Method: "CONNECT", URL: at}, "is not one of"},
		{"method of two lines", Request{Method: "GET / HTTP/1.1\r\nX: y", URL: at}, "is not one of"},
		{"URL", Request{URL: at + strings.Repeat("a", maxURL)}, "more than 8192 bytes"},
		{"body", Request{Method: "POST", URL: at, Body: strings.Repeat("a", maxBody+1)}, "more than 262144 bytes"},
		{"many headers", Request{URL: at, Header: many}, "more than 64 headers"},
		{"large headers", Request{URL: at, Header: map[string]string{"x": strings.Repeat("a", maxHeaderSize)}}, "headers of more than 16384"},
		{"Host", Request{URL: at, Header: map[string]string{"hOsT": "tenant.example"}}, "Host can't be set"},
		{"hop by hop", Request{URL: at, Header: map[string]string{"transfer-encoding": "chunked"}}, "Transfer-Encoding can't be set"},
		{"proxy", Request{URL: at, Header: map[string]string{"Proxy-Authorization": "secret"}}, "Proxy-Authorization can't be set"},
		{"length", Request{URL: at, Header: map[string]string{"content-length": "secret"}}, "Content-Length can't be set"},
		{"header name", Request{URL: at, Header: map[string]string{"secret:": ""}}, "isn't a token"},
		{"header name with a space", Request{URL: at, Header: map[string]string{"Host ": ""}}, "isn't a token"},
		{"header value", Request{URL: at, Header: map[string]string{"x": "secret\r\nHost: tenant.example"}}, "control character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(domain, allowHosts, noNetwork(t)).Do(t.Context(), test.request, clientID, known)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got the error %v, want %q, without the header", err, test.want)
			}
		})
	}
}

// TestWhatIsSent: the request as it was written, and nothing beside it.
func TestWhatIsSent(t *testing.T) {
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.URL.String() != "https://hook.example.com:8443/a%2Fb?c=%20d" || string(body) != "text" {
			t.Errorf("sent %s %s %q, want POST https://hook.example.com:8443/a%%2Fb?c=%%20d text", r.Method, r.URL, body)
		}
		if len(r.Header) != 2 || r.Header.Get("X-One") != "1" || r.Header.Get("User-Agent") != "m2m-token-enricher" {
			t.Errorf("sent the headers %v, want X-One and User-Agent", r.Header)
		}
		return nil, errors.New("enough")
	})
	_, _ = New(domain, allowHosts, transport).Do(t.Context(), Request{"post", "https://Hook.example.com:8443/a%2Fb?c=%20d", map[string]string{"x-one": "1"}, "text"}, clientID, known)
}

func TestOwnTransport(t *testing.T) {
	c := New(domain, nil, nil)
	defer c.Close()
	if c.http.Transport.(*http.Transport).Proxy == nil {
		t.Error("no proxy by the environment, want one as for the provider")
	}
	if c.http.Jar != nil {
		t.Error("a cookie jar, want none")
	}
}
