package cache

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// passwordOnly is the default user with a password.
func passwordOnly(c *schema.Config) { asUser("", "p4ssw0rd")(c) }

// TestRedisProxies: a lookup needs nothing that a Redis proxy lacks. What does
// names the command.
func TestRedisProxies(t *testing.T) {
	t.Parallel()
	byUser, byPassword := redistest.Start(t, tracking...), redistest.Start(t, "--requirepass", "p4ssw0rd")
	anonymous := redistest.Start(t)
	for name, tt := range map[string]struct {
		handler redistest.Handler
		server  *redistest.Server
		account option
	}{
		"twemproxy":               {redistest.Twemproxy, anonymous, asUser("", "")},
		"twemproxy with password": {redistest.Twemproxy, byPassword, passwordOnly},
		"Envoy":                   {redistest.Envoy, anonymous, asUser("", "")},
		"Envoy with password":     {redistest.Envoy, byPassword, passwordOnly},
		"Envoy with a user":       {redistest.Envoy, byUser, asReader},
	} {
		t.Run(name, func(t *testing.T) {
			r := behind(t, tt.handler, tt.server, tt.account)
			write(t, tt.server, prefix+"app:a", "region", "eu")
			for range 3 {
				wantRegion(t, r, "a", "eu")
				wantRegion(t, r, "absent", "none")
			}
			r = behind(t, tt.handler, tt.server, tt.account, whole)
			wantRegion(t, r, "a", "eu")
			wantRegion(t, r, "absent", "none")
			if _, err := r.Count(t.Context(), 10); err == nil || !strings.Contains(strings.ToUpper(err.Error()), "SCAN") {
				t.Errorf("Count: got %v, want an error that names SCAN", err)
			}
		})
	}
}

// behind are lookups through a stand-in for a Redis proxy in front of server.
func behind(t *testing.T, handler redistest.Handler, server *redistest.Server, options ...option) *Records {
	t.Helper()
	proxy := redistest.StartProxy(t, server.Addr())
	proxy.Handle(handler)
	return open(t, configAt(proxy.Port(), options...))
}

// TestWhatAProxyLacks: the first error names what the proxy closed the connection
// at. A server that dies isn't called a proxy.
func TestWhatAProxyLacks(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	for name, tt := range map[string]struct {
		options []option
		says    string
	}{
		"user":     {[]option{asReader}, "it closed the connection at AUTH with a user name: a Redis proxy does so if it doesn't know that form"},
		"database": {[]option{inDatabase1}, "it closed the connection at SELECT: a Redis proxy does so if it doesn't know that command"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := app(t, behind(t, redistest.Twemproxy, server, tt.options...), "a")
			if !errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			if strings.Contains(err.Error(), "p4ssw0rd") {
				t.Errorf("got %v, want no password", err)
			}
		})
	}
	dying := func(command []string) (string, bool) { return "", strings.EqualFold(command[0], "hmget") }
	_, err := app(t, behind(t, dying, server, asReader), "a")
	if text := err.Error(); !strings.Contains(text, "it closed the connection at HMGET") || strings.Contains(text, "proxy") {
		t.Errorf("got %v, want that it closed the connection at HMGET", err)
	}
}

// TestInvalidationBehindAProxy: the warning names what the proxy lacks and stays
// the same, so that it is logged once. Lookups continue by ttl.
func TestInvalidationBehindAProxy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handler redistest.Handler
		says    string
	}{
		"twemproxy": {redistest.Twemproxy, "it closed the connection at HELLO: a Redis proxy does so if it doesn't know that command"},
		"Envoy":     {redistest.Envoy, "it doesn't speak RESP3, which Redis 6 and later do and most Redis proxies don't"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			var mu sync.Mutex
			seen := map[string]int{}
			count := func(command string) int { mu.Lock(); defer mu.Unlock(); return seen[command] }
			r := behind(t, func(command []string) (string, bool) {
				mu.Lock()
				seen[strings.ToLower(command[0])]++
				mu.Unlock()
				return tt.handler(command)
			}, server, withInvalidation)
			write(t, server, prefix+"app:a", "region", "eu")
			wantRegion(t, r, "a", "eu")
			warnings := map[string]bool{}
			await.True(t, "another try", func() bool {
				if err := r.Warning(); err != nil {
					warnings[err.Error()] = true
				}
				return count("hello") >= 3
			})
			if len(warnings) != 1 {
				t.Errorf("got the warnings %v, want one text", slices.Sorted(maps.Keys(warnings)))
			}
			for text := range warnings {
				if !strings.Contains(text, tt.says) || !strings.Contains(text, "3600 s (cache.ttl)") {
					t.Errorf("got warning %q, want %q and the ttl", text, tt.says)
				}
			}
			wantRegion(t, r, "a", "eu")
			if got := count("hmget"); got != 1 {
				t.Errorf("asked %d times within the ttl, want 1", got)
			}
		})
	}
}

// TestPlainCommands: without cache.invalidation, a lookup sends nothing but what
// it needs, whatever the account and the topology.
func TestPlainCommands(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	for want, option := range map[string]option{
		"auth select hmget exists": func(*schema.Config) {},
		"auth select hgetall":      whole,
	} {
		proxy := redistest.StartProxy(t, server.Addr())
		var mu sync.Mutex
		var sent []string
		proxy.Handle(func(command []string) (string, bool) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, strings.ToLower(command[0]))
			return "", false
		})
		r := open(t, configAt(proxy.Port(), asReader, inDatabase1, option, func(c *schema.Config) { c.Redis.PoolSize = 1 }))
		wantRegion(t, r, "a", "none")
		mu.Lock()
		if got := strings.Join(sent, " "); got != want {
			t.Errorf("got the commands %s, want %s", got, want)
		}
		mu.Unlock()
	}
}
