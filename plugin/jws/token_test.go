package jws

import (
	"strings"
	"testing"
)

func TestUnverifiedSubject(t *testing.T) {
	segments := func(payload string) string { return encode(`{"alg":"HS256"}`) + "." + encode(payload) + ".AA" }
	tests := []struct{ name, token, want string }{
		{"an assertion", segments(`{"sub":"\u0061pp","exp":1}`), "app"},
		{"an unsigned one", encode(`{"alg":"none"}`) + "." + encode(`{"sub":"app"}`) + ".", "app"},
		{"no sub", segments(`{"SUB":"secret"}`), ""},
		{"sub a number", segments(`{"sub":9223372036854775807}`), ""},
		{"two subs", segments(`{"sub":"secret","sub":"secret"}`), ""},
		{"not an object", segments(`["secret"]`), ""},
		{"opaque", "secret", ""},
		{"header with a duplicate", encode(`{"alg":"none","alg":"none"}`) + "." + encode(`{"sub":"secret"}`) + ".", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := UnverifiedSubject(tt.token)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("UnverifiedSubject = %q, %v, want %q", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("UnverifiedSubject = %q, want no part of the token in it", err)
			}
		})
	}
}
