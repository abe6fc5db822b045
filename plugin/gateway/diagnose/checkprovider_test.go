package diagnose

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/schema"
)

// oneKey is a transport that answers with a set of one key.
type oneKey struct{}

func (oneKey) RoundTrip(r *http.Request) (*http.Response, error) {
	const set = `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(set)), Request: r}, nil
}

// TestCheckPlainHTTP: check warns of keys over plain http.
func TestCheckPlainHTTP(t *testing.T) {
	cfg, err := schema.Parse(map[string]any{
		"issuer": "https://example.kinde.com", "redis": map[string]any{"host": "127.0.0.1"},
		"jwks_uri": "http://idp.svc/jwks", "jwks_insecure_http": true, "signing": map[string]any{"jwks_file": "/nonexistent/keys.json"},
		"claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.Open(cfg, gateway.Options{Transport: oneKey{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	got := checkProvider(t.Context(), g)
	if len(got) != 2 || !got[0].Warning || !strings.Contains(got[0].What, "plain http") || got[1].What != "provider's keys: 1" || got[1].Warning {
		t.Errorf("got %+v, want a warning of plain http, and one key", got)
	}
}
