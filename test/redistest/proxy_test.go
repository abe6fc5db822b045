package redistest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// startProxy starts a server that has v at k, a proxy before it and a client of
// the proxy that has one connection and tries everything once.
func startProxy(t *testing.T) (*redistest.Proxy, *redis.Client) {
	t.Helper()
	proxy := redistest.StartProxy(t, start(t).Addr())
	client := redis.NewClient(&redis.Options{
		Addr: proxy.Addr(), MaxRetries: -1, DialerRetries: 1, PoolSize: 1, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { _ = client.Close() })
	wantValue(t, client, "k", "v")
	return proxy, client
}

// conn is a connection whose every byte the test reads.
type conn struct {
	*testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, proxy *redistest.Proxy) *conn {
	t.Helper()
	c, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &conn{t, c, bufio.NewReader(c)}
}

func (c *conn) send(commands string) {
	c.Helper()
	if _, err := io.WriteString(c, commands); err != nil {
		c.Fatal(err)
	}
}

func (c *conn) want(want string) {
	c.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); string(got[:n]) != want || err != nil {
		c.Errorf("got %q, %v, want %q", got[:n], err, want)
	}
}

func (c *conn) wantEnd() {
	c.Helper()
	if b, err := c.r.ReadByte(); err == nil {
		c.Errorf("got %q, want the end of the connection", b)
	}
}

func TestProxyDropAndCut(t *testing.T) {
	proxy, client := startProxy(t)
	if got := proxy.Open(); got != 1 {
		t.Errorf("Open() = %d, want 1", got)
	}
	proxy.Drop()
	if got := proxy.Open(); got != 0 {
		t.Errorf("Open() = %d after Drop, want 0", got)
	}
	await.True(t, "new connection of the client", func() bool { return client.Get(t.Context(), "k").Err() == nil })
	proxy.Cut()
	if err := client.Get(t.Context(), "k").Err(); err == nil {
		t.Error("Cut leaves an open connection")
	}
	dial(t, proxy).wantEnd()
	proxy.Pass()
	wantValue(t, client, "k", "v")
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	await.True(t, "end of the connection", func() bool { return proxy.Open() == 0 })
}

func TestProxyRefuse(t *testing.T) {
	proxy, client := startProxy(t)
	proxy.Refuse()
	wantValue(t, client, "k", "v")
	if conn, err := net.Dial("tcp", proxy.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, %v, want a refusal", conn, err)
	}
	proxy.Pass()
	wantValue(t, client, "k", "v")
	dial(t, proxy)
}

func TestProxyCutReply(t *testing.T) {
	proxy, _ := startProxy(t)
	for n, want := range map[int]string{0: "", 5: "$1\r\nv", 100: "$1\r\nv\r\n"} {
		c := dial(t, proxy)
		proxy.CutReply(n)
		c.send("CLIENT SETNAME test\r\nGET k\r\n")
		c.want("+OK\r\n" + want)
		c.wantEnd()
		c = dial(t, proxy)
		c.send("GET k\r\n")
		c.want("$1\r\nv\r\n")
	}
}

// TestProxyHoldAndDelay: what waits arrives after Pass, and the proxy notices a
// client that waits no longer.
func TestProxyHoldAndDelay(t *testing.T) {
	const d = 50 * time.Millisecond
	for name, hinder := range map[string]func(*redistest.Proxy){
		"hold":  (*redistest.Proxy).Hold,
		"delay": func(p *redistest.Proxy) { p.Delay(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			proxy, client := startProxy(t)
			c := dial(t, proxy)
			hinder(proxy)
			c.send("SET k2 1\r\nGET k2\r\n")
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			if err := client.Get(ctx, "k").Err(); err == nil {
				t.Error("a reply arrives early")
			}
			await.True(t, "end of a client that waits no longer", func() bool { return proxy.Open() == 1 })
			proxy.Pass()
			c.want("+OK\r\n$1\r\n1\r\n")
			proxy.Delay(d)
			start := time.Now()
			wantValue(t, client, "k", "v")
			if took := time.Since(start); took < d {
				t.Errorf("a reply took %v, want at least %v", took, d)
			}
		})
	}
}

// TestProxyHandle has replies of both kinds in one pipeline.
func TestProxyHandle(t *testing.T) {
	proxy, _ := startProxy(t)
	proxy.Handle(func(command []string) (string, bool) {
		return ":" + command[len(command)-1] + "\r\n", strings.EqualFold(command[0], "own")
	})
	c := dial(t, proxy)
	c.send("OWN 1\r\nHELLO 3\r\nGET k\r\n*2\r\n$3\r\nOWN\r\n$1\r\n2\r\nOWN 3\r\nHGETALL k2\r\nOWN 4\r\nGET nothing\r\n")
	c.want(":1\r\n%7\r\n")
	for line := ""; line != "*0\r\n"; { // the modules, last in the reply to HELLO
		var err error
		if line, err = c.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	c.want("$1\r\nv\r\n:2\r\n:3\r\n%0\r\n:4\r\n_\r\n")
	proxy.Handle(nil)
	c.send("OWN 5\r\n")
	c.want("-ERR unknown command")
}

// TestProxies: a stand-in for a Redis proxy passes what its model knows, in the
// form that it knows, and treats the rest as its model does.
func TestProxies(t *testing.T) {
	proxy, _ := startProxy(t)
	for name, tt := range map[string]struct {
		handler redistest.Handler
		command string
		want    string // nothing: the connection is closed
	}{
		"twemproxy passes":               {redistest.Twemproxy, "EXISTS k", ":1\r\n"},
		"twemproxy closes at a command":  {redistest.Twemproxy, "HELLO 3", ""},
		"twemproxy closes at SCAN":       {redistest.Twemproxy, "SCAN 0", ""},
		"twemproxy closes at a form":     {redistest.Twemproxy, "AUTH user password", ""},
		"twemproxy closes at two keys":   {redistest.Twemproxy, "EXISTS k k2", ""},
		"Envoy passes":                   {redistest.Envoy, "EXISTS k", ":1\r\n"},
		"Envoy refuses a command":        {redistest.Envoy, "SCAN 0", "-ERR unknown command 'SCAN', with args beginning with: 0\r\n"},
		"Envoy refuses a new connection": {redistest.Envoy, "HELLO 3", "-ERR unknown command 'HELLO', with args beginning with: 3\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Handle(tt.handler)
			c := dial(t, proxy)
			c.send(tt.command + "\r\n")
			c.want(tt.want)
			if tt.want == "" {
				c.wantEnd()
			}
		})
	}
}
