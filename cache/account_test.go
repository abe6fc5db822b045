package cache

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// TestServerRepeatsThePassword: a server that doesn't know AUTH says so with
// the arguments that it was given.
func TestServerRepeatsThePassword(t *testing.T) {
	server := redistest.Start(t, "--rename-command", "AUTH", "", "--rename-command", "HELLO", "", "--rename-command", "SCAN", "")
	r := lookups(t, server, asReader)
	_, err := app(t, r, "a")
	if !errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("got %v, want an unknown command", err)
	}
	_, countErr := r.Count(t.Context(), 10)
	if countErr == nil || strings.Contains(fmt.Sprint(err, countErr), "p4ssw0rd") {
		t.Errorf("got %v; %v, want errors without the password", err, countErr)
	}
}

// TestAccounts: a password without a user is the default user's. An account
// without the right to read is an outage, and the error doesn't show the
// password.
func TestAccounts(t *testing.T) {
	server := redistest.Start(t, reader...)
	write(t, server, prefix+"app:a", "region", "eu")
	if err := server.Client().ConfigSet(t.Context(), "requirepass", "d3fault").Err(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change option
		want   error
	}{
		"default user":            {asUser("", "d3fault"), nil},
		"default, wrong password": {asUser("", "wr0ng"), schema.ErrUnavailable},
		"no account":              {asUser("", ""), schema.ErrUnavailable},
		"reader":                  {asReader, nil},
		"wrong password":          {asUser("m2m", "wr0ng"), schema.ErrUnavailable},
		"unknown user":            {asUser("nobody", "wr0ng"), schema.ErrUnavailable},
		"foreign keys":            {func(c *schema.Config) { asReader(c); c.Prefix = "other:" }, schema.ErrUnavailable},
	} {
		_, err := app(t, lookups(t, server, tt.change), "a")
		if text := fmt.Sprint(err); !errors.Is(err, tt.want) || strings.Contains(text, "wr0ng") || strings.Contains(text, "p4ssw0rd") {
			t.Errorf("%s: got %v, want %v without the password", name, err, tt.want)
		}
	}
}
