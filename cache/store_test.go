package cache

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// configAt is a configuration for a server on port, changed by change.
func configAt(t *testing.T, port int, change func(map[string]any)) *schema.Config {
	t.Helper()
	given := map[string]any{
		"issuer":  "https://example.kinde.com",
		"signing": map[string]any{"jwks_file": "/keys.json"},
		"redis":   map[string]any{"host": "127.0.0.1", "port": float64(port), "timeout": 1000.0},
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
	cfg, err := schema.Parse(given)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func lookups(t *testing.T, server *redistest.Server, change func(map[string]any)) *Records {
	t.Helper()
	r := New(configAt(t, server.Port(), change), nil)
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

// TestDownAtStart: nothing but a lookup needs Redis.
func TestDownAtStart(t *testing.T) {
	server := redistest.Start(t)
	server.Stop()
	r := lookups(t, server, nil)
	if _, err := r.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	server.Restart()
	write(t, server, prefix+"app:a", "region", "eu")
	await.True(t, "a record", func() bool {
		_, err := r.Record(t.Context(), schema.Application, "a")
		return err == nil
	})
}

// TestSilenceIsMetOnce: who isn't answered in time doesn't try again and wait
// for as long once more, when the handler could go on with a held record.
func TestSilenceIsMetOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int32 // every try has a connection of its own
	var server sync.WaitGroup
	server.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			server.Go(func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 1024)) // HELLO, or the copy ends at once too
				_, _ = io.WriteString(conn, "-ERR unknown command\r\n")
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	r := New(configAt(t, l.Addr().(*net.TCPAddr).Port, func(c map[string]any) { c["redis"].(map[string]any)["timeout"] = 50.0 }), nil)
	if _, err := r.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(r.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	server.Wait()
	if n := accepted.Load(); n > 1 {
		t.Errorf("tried %d times", n)
	}
}

// region is what r serves of id, or what is there instead of a record.
func region(t *testing.T, r *Records, id string) string {
	t.Helper()
	record, err := r.Record(t.Context(), schema.Application, id)
	switch {
	case errors.Is(err, schema.ErrNoRecord):
		return "none"
	case errors.Is(err, schema.ErrInvalidRecord):
		return "invalid"
	case err != nil:
		return err.Error()
	}
	return record["region"]
}
