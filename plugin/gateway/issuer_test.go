package gateway

import (
	"encoding/json"
	"testing"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// TestTokenEndpointStaysOnTheGateway: of the provider's token endpoint only the
// path is taken, and what isn't the URL of one can't continue the gateway's host.
func TestTokenEndpointStaysOnTheGateway(t *testing.T) {
	ring, err := jws.ParseRing([]byte(`{"keys":[` + string(generated(t)) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &schema.Config{Signing: schema.Signing{Issuer: "https://gateway.example.com", JWKSPath: "/jwks"}}
	gateway, err := newIssuer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, want := range map[string]string{
		"https://example.kinde.com/oauth2/token": "https://gateway.example.com/oauth2/token",
		".example.net/token":                     "",
		"@example.net/token":                     "",
		"/oauth2/token":                          "",
		"https://example.kinde.com":              "",
		"https:token":                            "",
		"":                                       "",
	} {
		text, err := gateway.document(cfg, ring, jws.Metadata{TokenEndpoint: endpoint})
		if want == "" {
			if err == nil {
				t.Errorf("%q: published %s", endpoint, text)
			}
			continue
		}
		var document struct {
			TokenEndpoint string `json:"token_endpoint"`
		}
		if err != nil || json.Unmarshal(text, &document) != nil || document.TokenEndpoint != want {
			t.Errorf("%q: %v, %s", endpoint, err, text)
		}
	}
}
