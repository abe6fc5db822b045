// Package stage sets up what the end-to-end suite and the demo share: the
// repository's own kong.yml with local addresses in it, and an API that
// verifies the tokens it receives.
package stage

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// Addresses are what an operator edits in kong.yml.
type Addresses struct {
	Provider string // URL of the token endpoint's host
	JWKSURI  string // the provider's keys; the issuer stays the one in kong.yml
	Redis    string // host:port
	KeyFile  string
	API      string // URL
}

// Issuer is the issuer in the repository's kong.yml.
const Issuer = "https://example.kinde.com"

// Configure returns kongYML with addresses in the places that are marked
// EDIT. It is an error if such a place is missing.
func Configure(kongYML []byte, a Addresses) ([]byte, error) {
	host, port, err := net.SplitHostPort(a.Redis)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	edits := [][2]string{
		{"  url: " + Issuer + " # EDIT", "  url: " + a.Provider + " #"},
		{"      issuer: " + Issuer + " # EDIT", "      jwks_uri: " + a.JWKSURI + "\n      issuer: " + Issuer + " #"},
		{"        host: redis # EDIT", "        port: " + port + "\n        host: " + host},
		{"        jwks_file: /etc/kong/m2m/keys.json # EDIT", "        jwks_file: " + a.KeyFile + " #"},
		{"  url: http://orders.internal:8080 # EDIT", "  url: " + a.API + " #"},
	}
	text := string(kongYML)
	var missing []error
	for _, e := range edits {
		if strings.Count(text, e[0]) != 1 {
			missing = append(missing, fmt.Errorf("kong.yml has no single line %q", e[0]))
		}
		text = strings.Replace(text, e[0], e[1], 1)
	}
	return []byte(text), errors.Join(missing...)
}
