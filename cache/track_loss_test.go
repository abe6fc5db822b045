package cache

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// losses are ways to lose the connection that tells of changes.
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

// TestLostTracking: a change that Redis couldn't tell of is served as soon as it
// can be asked again; meanwhile what is held may stand in.
func TestLostTracking(t *testing.T) {
	t.Parallel()
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, tracking...)
			r, proxy := throughProxy(t, server, told)
			for _, id := range []string{"a", "b"} {
				write(t, server, prefix+"app:"+id, "region", "eu")
			}
			waitTracked(t, r)
			serves(t, r, "a", "eu")
			serves(t, r, "b", "eu")
			serves(t, r, "absent", "none")
			lose(t, server, proxy)
			await.True(t, "word of the loss", func() bool { return r.tracker.trouble() != nil })
			write(t, server, prefix+"app:a", "region", "us")
			write(t, server, prefix+"app:absent", "region", "us")
			if got := region(t, r, "a"); got != "eu" {
				t.Errorf("while Redis is silent: %s", got)
			}
			if _, err := r.Record(t.Context(), schema.Application, "absent"); !errors.Is(err, schema.ErrUnavailable) {
				t.Errorf("a doubtful absence answers an outage: %v", err)
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

// trackedProxy is a server that tells r of changes through a proxy. r serves the
// application a, whose region is eu.
func trackedProxy(t *testing.T) (*redistest.Server, *Records, *redistest.Proxy) {
	t.Helper()
	server := redistest.Start(t, tracking...)
	r, proxy := throughProxy(t, server, told)
	write(t, server, prefix+"app:a", "region", "eu")
	waitTracked(t, r)
	serves(t, r, "a", "eu")
	return server, r, proxy
}

// TestKilledTracking: only the connection that tells of changes is lost, while
// lookups go on. What they fetch meanwhile is asked again later.
func TestKilledTracking(t *testing.T) {
	t.Parallel()
	server, r, proxy := trackedProxy(t)
	proxy.Handle(func(command []string) (string, bool) { // no other one
		return "-ERR not now\r\n", strings.EqualFold(command[0], "client")
	})
	killTracking(t, server)
	await.True(t, "word of the loss", func() bool { return r.tracker.trouble() != nil })
	serves(t, r, "a", "eu")
	write(t, server, prefix+"app:a", "region", "us")
	proxy.Handle(nil)
	serves(t, r, "a", "us")
	waitTracked(t, r)
	write(t, server, prefix+"app:a", "region", "asia")
	serves(t, r, "a", "asia")
}

// killTracking ends the connections that Redis tells of changes.
func killTracking(t *testing.T, server *redistest.Server) {
	t.Helper()
	clients, err := server.Client().ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, line := range strings.Split(clients, "\n") {
		id, rest, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		if _, flags, _ := strings.Cut(rest, " flags="); !strings.ContainsAny(strings.SplitN(flags, " ", 2)[0], "B") {
			continue
		}
		if err := server.Client().ClientKillByFilter(t.Context(), "id", id).Err(); err != nil {
			t.Fatal(err)
		}
		killed++
	}
	if killed != 1 {
		t.Fatalf("killed %d connections", killed)
	}
}

// TestChangeDuringFetch: an answer from before a change doesn't outlive it.
func TestChangeDuringFetch(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, tracking...)
	r, proxy := throughProxy(t, server, func(c map[string]any) { told(c); c["redis"].(map[string]any)["timeout"] = 20_000.0 })
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
	early.Go(func() {
		if got := region(t, r, "a"); got != "eu" {
			t.Errorf("who asked before the change got %s", got)
		}
	})
	<-asked
	write(t, server, prefix+"app:a", "region", "us")
	await.True(t, "word of the change", func() bool {
		r.tier.mu.Lock()
		defer r.tier.mu.Unlock()
		return len(r.tier.flights) == 0
	})
	if got := region(t, r, "a"); got != "us" { // doesn't wait for the older one
		t.Errorf("who asked after the change got %s", got)
	}
	close(release)
	early.Wait()
	if got := region(t, r, "a"); got != "us" {
		t.Errorf("after the older answer: %s", got)
	}
}

// TestChangedIsNeverServed: once Redis told of a change, the record from before
// is good for nothing but to refuse a token, however young it is.
func TestChangedIsNeverServed(t *testing.T) {
	t.Parallel()
	server, r, proxy := trackedProxy(t)
	proxy.Handle(func(command []string) (string, bool) {
		return "-LOADING\r\n", strings.EqualFold(command[0], "hmget")
	})
	write(t, server, prefix+"app:a", "region", "us")
	await.True(t, "outage", func() bool {
		record, err := r.Record(t.Context(), schema.Application, "a")
		if err != nil && (!errors.Is(err, schema.ErrUnavailable) || record["region"] != "eu") {
			t.Errorf("got %v, %v", record, err)
		}
		return err != nil
	})
	for range 100 {
		if _, err := r.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) {
			t.Fatalf("the changed record is served: %v", err)
		}
	}
	proxy.Handle(nil)
	serves(t, r, "a", "us")
}

// TestTrackingRefused: without word of changes the lookups go on, with ttl, and
// say so once.
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
			r, proxy := throughProxy(t, c.server, told)
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
				t.Errorf("the warning is %q", text)
			}
			serves(t, r, name, "eu")
			asked.Store(0)
			before := tried.Load()
			await.True(t, "second try", func() bool { return tried.Load() >= before+2 })
			for range 10 {
				if got := region(t, r, name); got != "eu" {
					t.Errorf("got %s", got)
				}
			}
			if n := asked.Load(); n > 0 {
				t.Errorf("asked %d times within the ttl", n)
			}
		})
	}
}
