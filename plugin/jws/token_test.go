package jws

import (
	"strings"
	"testing"
)

// TestUnverifiedClaims: a claim is read only where all readers read the same, and no
// error shows a part of the token.
func TestUnverifiedClaims(t *testing.T) {
	segments := func(payload string) string { return encode(`{"alg":"HS256"}`) + "." + encode(payload) + ".AA" }
	tests := []struct{ name, token, want string }{
		{"an assertion", segments(`{"sub":"\u0061pp","exp":1}`), "app"},
		{"an unsigned one", encode(`{"alg":"none"}`) + "." + encode(`{"sub":"app"}`) + ".", "app"},
		{"two subs", segments(`{"sub":"secret","sub":"secret"}`), ""},
		{"not an object", segments(`["secret"]`), ""},
		{"opaque", "secret", ""},
		{"header with a duplicate", encode(`{"alg":"none","alg":"none"}`) + "." + encode(`{"sub":"secret"}`) + ".", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := UnverifiedClaims(tt.token)
			got := ""
			if err == nil {
				got, _ = claims.Text("sub")
			}
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("sub of UnverifiedClaims = %q, %v, want %q", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("UnverifiedClaims = %q, want no part of the token in it", err)
			}
		})
	}
}
