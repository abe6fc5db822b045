package cache

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// losses are ways to lose the connection that reports changes.
var losses = map[string]func(t *testing.T, server *redistest.Server, proxy *redistest.Proxy){
	"killed": func(t *testing.T, server *redistest.Server, proxy *redistest.Proxy) {
		proxy.Refuse()
		if err := server.Client().Do(t.Context(), "client", "kill", "user", "m2m").Err(); err != nil {
			t.Fatal(err)
		}
	},
	"dropped":    func(_ *testing.T, _ *redistest.Server, proxy *redistest.Proxy) { proxy.Refuse(); proxy.Drop() },
	"cut":        func(_ *testing.T, _ *redistest.Server, proxy *redistest.Proxy) { proxy.Cut() },
	"held":       func(_ *testing.T, _ *redistest.Server, proxy *redistest.Proxy) { proxy.Hold() },
	"no answers": func(_ *testing.T, _ *redistest.Server, proxy *redistest.Proxy) { proxy.Delay(time.Hour) },
}

// TestLostTracking: a change that Redis couldn't report is served as soon as Redis
// answers again. Until then the stale record may stand in.
func TestLostTracking(t *testing.T) {
	t.Parallel()
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, r, proxy := trackedProxy(t)
			write(t, server, prefix+"app:b", "region", "eu")
			serves(t, r, "b", "eu")
			serves(t, r, "absent", "none")
			lose(t, server, proxy)
			await.True(t, "loss", func() bool { return r.Warning() != nil })
			write(t, server, prefix+"app:a", "region", "us")
			write(t, server, prefix+"app:absent", "region", "us")
			wantRegion(t, r, "a", "eu")
			if _, err := app(t, r, "absent"); !errors.Is(err, schema.ErrUnavailable) {
				t.Errorf("a stale negative entry answers an outage: got %v", err)
			}
			proxy.Pass()
			serves(t, r, "a", "us")
			serves(t, r, "absent", "us")
			waitTracked(t, r)
			write(t, server, prefix+"app:b", "region", "us")
			serves(t, r, "b", "us")
		})
	}
}

// trackedProxy is a server that reports changes to r through a proxy. r has cached
// the application a, whose region is eu.
func trackedProxy(t *testing.T) (*redistest.Server, *Records, *redistest.Proxy) {
	t.Helper()
	server := redistest.Start(t, tracking...)
	write(t, server, prefix+"app:a", "region", "eu") // before anybody reports it
	r, proxy := throughProxy(t, server, withInvalidation)
	waitTracked(t, r)
	serves(t, r, "a", "eu")
	return server, r, proxy
}

// TestKilledTracking: only the connection that reports changes is lost, while
// lookups continue. What they fetch meanwhile is fetched again later.
func TestKilledTracking(t *testing.T) {
	t.Parallel()
	server, r, proxy := trackedProxy(t)
	proxy.Handle(func(command []string) (string, bool) { // no other one
		return "-ERR not now\r\n", strings.EqualFold(command[0], "client")
	})
	killTracking(t, server)
	await.True(t, "loss", func() bool { return r.Warning() != nil })
	serves(t, r, "a", "eu")
	write(t, server, prefix+"app:a", "region", "us")
	proxy.Handle(nil)
	serves(t, r, "a", "us")
	waitTracked(t, r)
	write(t, server, prefix+"app:a", "region", "asia")
	serves(t, r, "a", "asia")
}

// killTracking ends the connections to which Redis reports changes.
func killTracking(t *testing.T, server *redistest.Server) {
	t.Helper()
	clients, err := server.Client().ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`(?m)^id=(\d+) .* flags=\w*B`).FindAllStringSubmatch(clients, -1)
	if len(ids) != 1 {
		t.Fatalf("%d connections track changes, want 1", len(ids))
	}
	if err := server.Client().ClientKillByFilter(t.Context(), "id", ids[0][1]).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestChangeDuringFetch: an answer from before a change isn't cached.
func TestChangeDuringFetch(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	r, proxy := throughProxy(t, server, withInvalidation, timeout(20_000))
	write(t, server, prefix+"app:a", "org_code", "o", "region", "eu")
	waitTracked(t, r)
	asked, release := make(chan struct{}), make(chan struct{})
	var later atomic.Bool
	proxy.Handle(func(command []string) (string, bool) {
		if !strings.EqualFold(command[0], "hmget") || later.Swap(true) {
			return "", false
		}
		close(asked)
		<-release
		// What Redis would have said when it was asked, for each field.
		fields := len(command) - 2
		return fmt.Sprintf("*%d\r\n%s", fields, strings.Repeat("$2\r\neu\r\n", fields)), true
	})
	var early sync.WaitGroup
	early.Go(func() { wantRegion(t, r, "a", "eu") }) // asks before the change
	<-asked
	write(t, server, prefix+"app:a", "region", "us")
	await.True(t, "notice of the change", func() bool {
		r.tier.mu.Lock()
		defer r.tier.mu.Unlock()
		return len(r.tier.flights) == 0
	})
	wantRegion(t, r, "a", "us") // doesn't wait for the older answer
	close(release)
	early.Wait()
	wantRegion(t, r, "a", "us")
}

// TestChangedIsNeverServed: once Redis has reported a change, the previous record
// is good only to refuse a token, however young it is.
func TestChangedIsNeverServed(t *testing.T) {
	t.Parallel()
	server, r, proxy := trackedProxy(t)
	proxy.Handle(func(command []string) (string, bool) {
		return "-LOADING\r\n", strings.EqualFold(command[0], "hmget")
	})
	write(t, server, prefix+"app:a", "region", "us")
	await.True(t, "outage", func() bool {
		record, err := app(t, r, "a")
		if err != nil && (!errors.Is(err, schema.ErrUnavailable) || record["region"] != "eu") {
			t.Errorf("got %v, %v", record, err)
		}
		return err != nil
	})
	for range 100 {
		if _, err := app(t, r, "a"); !errors.Is(err, schema.ErrUnavailable) {
			t.Fatalf("the changed record is served: %v", err)
		}
	}
	proxy.Handle(nil)
	serves(t, r, "a", "us")
}

// TestTrackingRefused: where Redis doesn't report changes, lookups continue with
// ttl and warn.
func TestTrackingRefused(t *testing.T) {
	t.Parallel()
	allowed := redistest.Start(t, tracking...)
	for name, c := range map[string]struct {
		server  *redistest.Server
		handler redistest.Handler
		says    string
	}{
		"right":   {redistest.Start(t, reader...), nil, "NOPERM"},
		"command": {redistest.Start(t, append([]string{"--rename-command", "CLIENT", ""}, reader...)...), nil, "unknown command"},
		"RESP3": {allowed, func(command []string) (string, bool) {
			return "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `m2m`, `p4ssw0rd`\r\n", strings.EqualFold(command[0], "hello")
		}, "RESP3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, proxy := throughProxy(t, c.server, withInvalidation)
			var asked, tried atomic.Int64
			proxy.Handle(func(command []string) (string, bool) {
				switch strings.ToLower(command[0]) {
				case "hmget":
					asked.Add(1)
				case "hello":
					tried.Add(1)
				}
				if c.handler == nil {
					return "", false
				}
				return c.handler(command)
			})
			proxy.Drop() // so that the connections are set up again
			write(t, c.server, prefix+"app:"+name, "region", "eu")
			var warning error
			await.True(t, "warning", func() bool { // the first may be about the connections that ended
				warning = r.Warning()
				return warning != nil && strings.Contains(warning.Error(), c.says)
			})
			if text := warning.Error(); !strings.Contains(text, "3600 s") || strings.Contains(text, "p4ssw0rd") {
				t.Errorf("got warning %q, want the ttl and no password", text)
			}
			serves(t, r, name, "eu")
			asked.Store(0)
			before := tried.Load()
			await.True(t, "second try", func() bool { return tried.Load() >= before+2 })
			for range 10 {
				wantRegion(t, r, name, "eu")
			}
			if n := asked.Load(); n > 0 {
				t.Errorf("asked %d times within the ttl, want 0", n)
			}
		})
	}
}
