package jws

import (
	"net/http"
	"strings"
	"testing"
)

// TestRedirect: the error says that a redirect isn't followed, and where it leads.
func TestRedirect(t *testing.T) {
	for _, tt := range []struct{ location, want string }{
		{"https://keys.example/jwks?token=secret#secret", `"https://keys.example/jwks"`},
		{"https://user:secret@keys.example/a%2Fb", `"https://keys.example/a%2Fb"`},
		{"/elsewhere", `/elsewhere"`},
		{"//keys.example", `"http://keys.example"`},
	} {
		s := newIDP(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", tt.location)
			w.WriteHeader(http.StatusPermanentRedirect)
		})
		_, err := s.provider(t, newClock().Now).Keys(t.Context())
		if err == nil || !strings.Contains(err.Error(), "status 308, a redirect to ") || !strings.Contains(err.Error(), tt.want+"; redirects aren't followed") {
			t.Errorf("%s: got %v, want that it isn't followed, and %s", tt.location, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has a secret: %v", tt.location, err)
		}
		s.wantHits(t, 1)
	}
}
