package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answering is a transport that answers each request with a text, and keeps the URLs.
type answering struct {
	text  string
	asked []string
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked = append(a.asked, r.URL.String())
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(a.text)), Request: r}, nil
}

// TestPlainHTTP: keys over plain http to another host, which jwks_insecure_http
// allows, come from that URL and are warned of.
func TestPlainHTTP(t *testing.T) {
	for uri, warned := range map[string]bool{
		"http://idp.svc.cluster.local:8080/certs": true, "http://10.0.0.1/certs": true, "http://localhost.example/certs": true,
		"https://idp.svc/certs": false, "http://127.0.0.1:8080/certs": false, "http://localhost/certs": false,
	} {
		cfg := *config(t, keyFile(t, generated(t)))
		cfg.JWKSURI, cfg.JWKSInsecureHTTP = uri, true
		provider := &answering{text: `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`}
		g := open(t, &cfg, Options{Transport: provider})
		if err := g.ProviderWarning(); errors.Is(err, ErrPlainHTTP) != warned {
			t.Errorf("%s: ProviderWarning = %v, want a warning: %t", uri, err, warned)
		}
		if _, err := g.Provider.Keys(t.Context()); err != nil || strings.Join(provider.asked, " ") != uri {
			t.Errorf("Keys = %v, asked %q, want %s", err, provider.asked, uri)
		}
	}
}

// TestProviderWarning: keys that can't be used are named, those for encryption aren't.
func TestProviderWarning(t *testing.T) {
	const good = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	for _, tt := range []struct {
		keys, want string
		faulty     int
	}{
		{good, "", 0},
		{good + `,{"kty":"RSA","use":"enc","kid":"e"}`, "", 0},
		{good + `,{"kty":"RSA","kid":"a"},7`, `2 can't be used, their tokens are refused: key 2, kid "a": n is missing; key 3 without kid: not a JSON object`, 2},
	} {
		g := open(t, config(t, keyFile(t, generated(t))), Options{Transport: &answering{text: `{"keys":[` + tt.keys + `]}`}})
		if err := g.ProviderWarning(); err != nil {
			t.Errorf("before the keys were fetched: %v", err)
		}
		if _, err := g.Provider.Keys(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := g.ProviderWarning(); err != nil {
			got = err.Error()
		}
		if faulty := g.State().ProviderFaulty; got != tt.want || faulty != tt.faulty {
			t.Errorf("got %q, %d, want %q, %d", got, faulty, tt.want, tt.faulty)
		}
	}
}
