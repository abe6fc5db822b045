package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// site answers requests without a network.
type site func(*http.Request) (*http.Response, error)

func (s site) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

// TestWhichProbe: for answers in outages the token endpoint is asked for a sign of life,
// also if that is all that fails, where the configuration relies on the provider's
// discovery document.
func TestWhichProbe(t *testing.T) {
	for name, tt := range map[string]struct {
		jwksURI, signing string
		inOutages        bool
		endpoint         bool
	}{
		"discovery":            {"", "", true, true},
		"jwks_uri":             {"https://example.kinde.com/keys", "", true, false},
		"jwks_uri, own issuer": {"https://example.kinde.com/keys", "https://gateway.example", true, true},
		"not in outages":       {"", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := reusing(t, "")
			cfg.JWKSURI, cfg.Signing.Issuer, cfg.Reuse.IfProviderFails = tt.jwksURI, tt.signing, tt.inOutages
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				transport := site(func(r *http.Request) (*http.Response, error) {
					text := `{"keys":[]}`
					switch {
					case strings.HasSuffix(r.URL.Path, "openid-configuration"):
						text = `{"issuer":"https://example.kinde.com","jwks_uri":"https://example.kinde.com/keys","token_endpoint":"https://example.kinde.com/token"}`
					case r.URL.Path == "/token":
						if asked++; asked > 1 {
							return nil, io.ErrUnexpectedEOF
						}
					}
					return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
				})
				g := open(t, cfg, Options{Scoped: true, Transport: transport})
				g.Warm()
				synctest.Wait()
				if err := g.Provider.Alive(t.Context()); (err != nil) != tt.endpoint || (asked == 2) != tt.endpoint {
					t.Errorf("got %v with %d requests at the token endpoint, want them: %t", err, asked, tt.endpoint)
				}
			})
		})
	}
}
