package schema

import "testing"

// TestFetchableFor: metadata leads to https anywhere, and to the gateway's own
// host only if the issuer is there.
func TestFetchableFor(t *testing.T) {
	const public = "https://example.kinde.com"
	for _, tt := range []struct {
		issuer, uri string
		allowed     bool
	}{
		{public, "https://example.kinde.com/jwks", true},
		{public, "https://keys.example.net/jwks", true},
		{public, "https://10.0.0.1/jwks", true}, // a provider in a private network
		{public, "https://localhost.example.com/jwks", true},
		{public, "http://localhost:8001/config", false},
		{public, "http://127.0.0.1/", false},
		{public, "http://[::1]/", false},
		{public, "https://localhost/", false},
		{public, "https://LOCALHOST./", false},
		{public, "https://kong.localhost/", false},
		{public, "https://127.1.2.3/", false},
		{public, "https://[::ffff:127.0.0.1]/", false},
		{public, "https://0.0.0.0/", false},
		{public, "https://[::]/", false},
		{public, "https://[::1%25lo]/", false},
		{public, "https://:8443/", false},
		{public, "https://ｌｏｃａｌｈｏｓｔ/", false},
		{public, "https://１２７.0.0.1/", false},
		{public, "https://127。0。0。1/", false},
		{public, "http://keys.example.net/jwks", false},
		{"http://localhost:8080", "http://127.0.0.1:8081/jwks", true},
		{"https://localhost:8443", "http://localhost:8080/jwks", true},
		{"https://kc.localhost", "https://kc.localhost/jwks", true},
		{"http://127.0.0.1:8080", "https://keys.example.net/jwks", true},
		{"http://127.0.0.1:8080", "http://keys.example.net/jwks", false},
		{"http://localhost:8080", "http://kc.localhost/jwks", false}, // the DNS could say where that is
	} {
		if err := FetchableFor(tt.issuer, tt.uri); (err == nil) != tt.allowed {
			t.Errorf("FetchableFor(%s, %s) = %v, want allowed: %t", tt.issuer, tt.uri, err, tt.allowed)
		}
	}
}
