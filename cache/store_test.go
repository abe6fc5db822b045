package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// configAt is a configuration for a server on port, changed by change.
func configAt(t *testing.T, port int, change func(map[string]any)) *schema.Config {
	t.Helper()
	given := map[string]any{
		"issuer":  "https://example.kinde.com",
		"signing": map[string]any{"jwks_file": "/keys.json"},
		"redis":   map[string]any{"host": "127.0.0.1", "port": float64(port), "timeout": 300.0},
		"cache":   map[string]any{"ttl": 0.0, "negative_ttl": 0.0, "stale_ttl": 0.0},
		"claims": []any{
			map[string]any{"name": "name", "from": "organization.name"},
			map[string]any{"name": "region", "from": "application.region"},
			map[string]any{"name": "email", "from": "user.email"},
		},
	}
	if change != nil {
		change(given)
	}
	cfg, err := schema.Written(given)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func lookups(t *testing.T, server *redistest.Server, change func(map[string]any)) *Records {
	t.Helper()
	r := New(configAt(t, server.Port(), change))
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func write(t *testing.T, server *redistest.Server, key string, properties ...string) {
	t.Helper()
	if err := server.Client().HSet(t.Context(), key, properties).Err(); err != nil {
		t.Fatal(err)
	}
}

const prefix = "m2m:example.kinde.com:"

func TestRedisAnswers(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server, nil)
	write(t, server, prefix+"app:full", "org_code", "org_a", "user_id", "kp_1", "region", "eu", "undeclared", "x")
	write(t, server, prefix+"app:bare", "undeclared", "x")
	write(t, server, prefix+"app:empty", "org_code", "", "region", "eu")
	write(t, server, prefix+"app:edge", "region", strings.Repeat("a", 4096))
	write(t, server, prefix+"app:large", "region", strings.Repeat("a", 4097))
	write(t, server, prefix+"org:org_a", "code", "org_a", "name", "A", "is_suspended", "false", "undeclared", "x")
	write(t, server, prefix+"user:kp_1", "id", "kp_1", "email", "a@b", "undeclared", "x")
	if err := server.Client().Set(t.Context(), prefix+"app:text", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kind schema.Kind
		id   string
		want schema.Record
		err  error
	}{
		{schema.Application, "full", schema.Record{"org_code": "org_a", "user_id": "kp_1", "region": "eu"}, nil},
		{schema.Application, "bare", schema.Record{}, nil},
		{schema.Application, "empty", schema.Record{"region": "eu"}, nil},
		{schema.Application, "edge", schema.Record{"region": strings.Repeat("a", 4096)}, nil},
		{schema.Application, "large", nil, schema.ErrInvalidRecord},
		{schema.Application, "text", nil, schema.ErrInvalidRecord},
		{schema.Application, "absent", nil, schema.ErrNoRecord},
		{schema.Organization, "org_a", schema.Record{"code": "org_a", "name": "A", "is_suspended": "false"}, nil},
		{schema.User, "kp_1", schema.Record{"id": "kp_1", "email": "a@b"}, nil},
		{schema.User, "full", nil, schema.ErrNoRecord},
	} {
		got, err := r.Record(t.Context(), tt.kind, tt.id)
		if !errors.Is(err, tt.err) || !maps.Equal(got, tt.want) {
			t.Errorf("%s %s: got %v, %v", tt.kind, tt.id, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "aaaa") {
			t.Errorf("%s %s: the error shows a property", tt.kind, tt.id)
		}
	}
}

// TestTenantsDontMix: the same client id under two prefixes, and in two
// databases.
func TestTenantsDontMix(t *testing.T) {
	server := redistest.Start(t)
	write(t, server, "one:app:a", "region", "eu")
	write(t, server, "two:app:a", "region", "us")
	for prefix, region := range map[string]string{"one:": "eu", "two:": "us"} {
		r := lookups(t, server, func(c map[string]any) { c["prefix"] = prefix })
		if got, err := r.Record(t.Context(), schema.Application, "a"); err != nil || got["region"] != region {
			t.Errorf("%s: got %v, %v", prefix, got, err)
		}
	}
	r := lookups(t, server, func(c map[string]any) { c["prefix"] = "one:"; c["redis"].(map[string]any)["database"] = 1.0 })
	if _, err := r.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrNoRecord) {
		t.Errorf("another database: %v", err)
	}
}

// leastRights are the rights that reading needs, as docs/configuration.md has
// them.
var leastRights = []any{"ACL", "SETUSER", "m2m", "on", ">p4ssw0rd", "resetkeys", "~m2m:*", "resetchannels", "-@all", "+hmget", "+exists", "+scan", "+select"}

func asUser(name, password string) func(map[string]any) {
	return func(c map[string]any) {
		redis := c["redis"].(map[string]any)
		redis["username"], redis["password"] = name, password
	}
}

func TestLeastRights(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Do(t.Context(), leastRights...).Err(); err != nil {
		t.Fatal(err)
	}
	write(t, server, prefix+"app:a", "region", "eu")
	r := lookups(t, server, asUser("m2m", "p4ssw0rd"))
	if got, err := r.Record(t.Context(), schema.Application, "a"); err != nil || got["region"] != "eu" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := r.Record(t.Context(), schema.Application, "absent"); !errors.Is(err, schema.ErrNoRecord) {
		t.Errorf("got %v", err)
	}
	if n, err := r.Count(t.Context(), 10); err != nil || n != 1 {
		t.Errorf("counted %d: %v", n, err)
	}
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

func TestRedisGoesAndComes(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server, nil)
	write(t, server, prefix+"app:a", "region", "eu")
	if _, err := r.Record(t.Context(), schema.Application, "a"); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if _, err := r.Record(t.Context(), schema.Application, "b"); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	server.Restart()
	write(t, server, prefix+"app:a", "region", "us")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for ; ; <-ticker.C {
		got, err := r.Record(ctx, schema.Application, "a")
		if err == nil && got["region"] == "us" {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("Redis is back, but got %v, %v", got, err)
		}
	}
}

// TestRedisHangs: a server that accepts and says nothing is given up in time.
func TestRedisHangs(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server, nil)
	write(t, server, prefix+"app:a", "region", "eu")
	if _, err := r.Record(t.Context(), schema.Application, "a"); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.Record(ctx, schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCount(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server, func(c map[string]any) { c["prefix"] = "a*[b]?:" })
	for i := range 30 {
		write(t, server, fmt.Sprintf("a*[b]?:app:%d", i), "region", "eu")
	}
	write(t, server, "axb?:app:0", "region", "eu") // matches the prefix as a pattern
	for limit, want := range map[int]int{1000: 30, 10: 10} {
		if n, err := r.Count(t.Context(), limit); err != nil || n != want {
			t.Errorf("counted %d up to %d: %v", n, limit, err)
		}
	}
}
