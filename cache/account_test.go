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
	r := lookups(t, server, asUser("m2m", "p4ssw0rd"))
	_, err := r.Record(t.Context(), schema.Application, "a")
	if !errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("got %v", err)
	}
	_, countErr := r.Count(t.Context(), 10)
	if countErr == nil || strings.Contains(fmt.Sprint(err, countErr), "p4ssw0rd") {
		t.Errorf("the errors show the password: %v; %v", err, countErr)
	}
}

// TestDefaultUser: a password without a user is the default user's.
func TestDefaultUser(t *testing.T) {
	server := redistest.Start(t)
	write(t, server, prefix+"app:a", "region", "eu")
	if err := server.Client().ConfigSet(t.Context(), "requirepass", "p4ssw0rd").Err(); err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]error{"p4ssw0rd": nil, "wr0ng": schema.ErrUnavailable, "": schema.ErrUnavailable} {
		r := lookups(t, server, func(c map[string]any) { c["redis"].(map[string]any)["password"] = password })
		_, err := r.Record(t.Context(), schema.Application, "a")
		if !errors.Is(err, want) || strings.Contains(fmt.Sprint(err), "wr0ng") {
			t.Errorf("password %q: %v", password, err)
		}
	}
}

func asUser(name, password string) func(map[string]any) {
	return func(c map[string]any) {
		redis := c["redis"].(map[string]any)
		redis["username"], redis["password"] = name, password
	}
}

// TestWrongAccount: who may not read is told so, without the password.
func TestWrongAccount(t *testing.T) {
	server := redistest.Start(t, reader...)
	wrong := map[string]func(map[string]any){
		"another password": asUser("m2m", "wr0ng"),
		"another user":     asUser("nobody", "wr0ng"),
		"a foreign key":    func(c map[string]any) { asUser("m2m", "p4ssw0rd")(c); c["prefix"] = "other:" },
	}
	for name, change := range wrong {
		_, err := lookups(t, server, change).Record(t.Context(), schema.Application, "a")
		if !errors.Is(err, schema.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "wr0ng") || strings.Contains(fmt.Sprint(err), "p4ssw0rd") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

// reader is the user of the lookups under test, with no right too many, so that
// a fault doesn't need one that the documentation doesn't have. It also tells
// their connections from those of the test.
var reader = []string{"--user", "m2m", "on", ">p4ssw0rd", "~m2m:*", "resetchannels", "-@all", "+hmget", "+exists", "+select", "+scan"}

// m2m is the reader's account.
var m2m = asUser("m2m", "p4ssw0rd")
