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

const loading = "-LOADING Redis is loading the dataset in memory\r\n"

// startProxy starts a server that has v at k, a proxy before it and a client of
// the proxy that has one connection and tries everything once.
func startProxy(t *testing.T) (*redistest.Proxy, *redis.Client) {
	t.Helper()
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	proxy := redistest.StartProxy(t, server.Addr())
	client := redis.NewClient(&redis.Options{
		Addr: proxy.Addr(), MaxRetries: -1, DialerRetries: 1, PoolSize: 1, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { _ = client.Close() })
	return proxy, client
}

func passes(t *testing.T, client *redis.Client) {
	t.Helper()
	if got, err := client.Get(t.Context(), "k").Result(); got != "v" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// dial opens a connection of which the test reads every byte.
func dial(t *testing.T, proxy *redistest.Proxy) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func send(t *testing.T, conn net.Conn, commands string) {
	t.Helper()
	if _, err := io.WriteString(conn, commands); err != nil {
		t.Fatal(err)
	}
}

func receives(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); string(got[:n]) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got[:n], err, want)
	}
}

func TestProxyCounts(t *testing.T) {
	proxy, client := startProxy(t)
	passes(t, client)
	passes(t, client)
	if open, opened := proxy.Open(), proxy.Opened(); open != 1 || opened != 1 {
		t.Errorf("%d of %d connections are open", open, opened)
	}
	proxy.Drop()
	if open := proxy.Open(); open != 0 {
		t.Errorf("%d connections are open", open)
	}
	await.True(t, "new connection of the client's", func() bool { return client.Get(t.Context(), "k").Err() == nil })
	if open, opened := proxy.Open(), proxy.Opened(); open != 1 || opened != 2 {
		t.Errorf("%d of %d connections are open", open, opened)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	await.True(t, "end of the connection", func() bool { return proxy.Open() == 0 })
}

func TestProxyCut(t *testing.T) {
	proxy, client := startProxy(t)
	passes(t, client)
	proxy.Cut()
	if err := client.Get(t.Context(), "k").Err(); err == nil {
		t.Error("an open connection goes on")
	}
	_, r := dial(t, proxy)
	if _, err := r.ReadByte(); err == nil {
		t.Error("a new connection is served")
	}
	proxy.Pass()
	passes(t, client)
}

func TestProxyRefuse(t *testing.T) {
	proxy, client := startProxy(t)
	passes(t, client)
	proxy.Refuse()
	passes(t, client)
	if conn, err := net.Dial("tcp", proxy.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, %v", conn, err)
	}
	proxy.Pass()
	passes(t, client)
	dial(t, proxy)
}

func TestProxyCutReply(t *testing.T) {
	for n, want := range map[int]string{0: "", 5: "$1\r\nv", 100: "$1\r\nv\r\n"} {
		proxy, _ := startProxy(t)
		conn, r := dial(t, proxy)
		proxy.CutReply(n)
		send(t, conn, "CLIENT SETNAME test\r\nGET k\r\n")
		receives(t, r, "+OK\r\n"+want)
		if b, err := r.ReadByte(); err == nil {
			t.Errorf("after %d bytes came %q", n, b)
		}
		conn, r = dial(t, proxy)
		send(t, conn, "GET k\r\n")
		receives(t, r, "$1\r\nv\r\n")
	}
}

func TestProxyDelay(t *testing.T) {
	proxy, client := startProxy(t)
	passes(t, client)
	const d = 50 * time.Millisecond
	proxy.Delay(d)
	start := time.Now()
	passes(t, client)
	if took := time.Since(start); took < d {
		t.Errorf("the reply took %v", took)
	}
	proxy.Delay(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := client.Get(ctx, "k").Err(); err == nil {
		t.Error("a reply came early")
	}
	await.True(t, "end of a client that waits no longer", func() bool { return proxy.Open() == 0 })
	conn, r := dial(t, proxy)
	send(t, conn, "GET k\r\n")
	proxy.Pass()
	receives(t, r, "$1\r\nv\r\n")
	passes(t, client)
}

func TestProxyHold(t *testing.T) {
	proxy, client := startProxy(t)
	conn, r := dial(t, proxy)
	proxy.Hold()
	send(t, conn, "SET held 1\r\nGET held\r\n")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := client.Get(ctx, "k").Err(); err == nil {
		t.Error("a held command is answered")
	}
	await.True(t, "end of a client that waits no longer", func() bool { return proxy.Open() == 1 })
	proxy.Pass()
	receives(t, r, "+OK\r\n$1\r\n1\r\n")
	passes(t, client)
}

func TestProxyAnswer(t *testing.T) {
	proxy, client := startProxy(t)
	proxy.Answer(loading, "$3\r\nown\r\n")
	if err := client.Get(t.Context(), "k").Err(); !redis.HasErrorPrefix(err, "LOADING") {
		t.Errorf("got %v", err)
	}
	if got, err := client.Get(t.Context(), "k").Result(); got != "own" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	passes(t, client)
}

// TestProxyHandle has replies of both kinds in one pipeline.
func TestProxyHandle(t *testing.T) {
	proxy, _ := startProxy(t)
	proxy.Handle(func(command []string) (string, bool) {
		return ":" + command[len(command)-1] + "\r\n", strings.EqualFold(command[0], "own")
	})
	conn, r := dial(t, proxy)
	send(t, conn, "OWN 1\r\nHELLO 3\r\nGET k\r\n*2\r\n$3\r\nOWN\r\n$1\r\n2\r\nOWN 3\r\nHGETALL k2\r\nOWN 4\r\nGET nothing\r\n")
	receives(t, r, ":1\r\n%7\r\n")
	for line := ""; line != "*0\r\n"; { // the modules, last in the reply to HELLO
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	receives(t, r, "$1\r\nv\r\n:2\r\n:3\r\n%0\r\n:4\r\n_\r\n")
	proxy.Handle(nil)
	send(t, conn, "OWN 5\r\n")
	receives(t, r, "-ERR unknown command")
}

func TestProxyPubSub(t *testing.T) {
	_, client := startProxy(t)
	sub := client.Subscribe(t.Context(), "news", "more")
	defer func() { _ = sub.Close() }()
	for range 2 {
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Publish(t.Context(), "news", "hello").Err(); err != nil {
		t.Fatal(err)
	}
	if m, err := sub.ReceiveMessage(t.Context()); err != nil || m.Payload != "hello" {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestProxyWithoutServer(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr())
	server.Stop()
	_, r := dial(t, proxy)
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
