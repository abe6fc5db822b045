package redistest_test

import (
	"crypto/tls"
	"testing"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/test/redistest"
)

// overTLS pings addr as a client that trusts ca, and has a certificate if it
// is to.
func overTLS(t *testing.T, ca *redistest.CA, addr, name string, certified bool) error {
	t.Helper()
	config := &tls.Config{RootCAs: ca.Pool(), ServerName: name}
	if certified {
		cert, err := tls.LoadX509KeyPair(ca.Issue(t, "client"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	client := redis.NewClient(&redis.Options{Addr: addr, TLSConfig: config, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	return client.Ping(t.Context()).Err()
}

func TestTLS(t *testing.T) {
	ca, other := redistest.NewCA(t), redistest.NewCA(t)
	open := redistest.StartTLS(t, ca, false, "redis.internal", "127.0.0.1")
	closed := redistest.StartTLS(t, ca, true, "redis.internal")
	for name, c := range map[string]struct {
		server    *redistest.Server
		ca        *redistest.CA
		name      string
		certified bool
		ok        bool
	}{
		"by name":                        {open, ca, "redis.internal", false, true},
		"by address":                     {open, ca, "127.0.0.1", false, true},
		"with a certificate":             {open, ca, "redis.internal", true, true},
		"another name":                   {open, ca, "other.internal", false, false},
		"another CA":                     {open, other, "redis.internal", false, false},
		"the needed certificate":         {closed, ca, "redis.internal", true, true},
		"without the needed certificate": {closed, ca, "redis.internal", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := overTLS(t, c.ca, c.server.TLSAddr(), c.name, c.certified); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := open.Client().Ping(t.Context()).Err(); err != nil {
		t.Errorf("the administrator: %v", err)
	}
}

func TestTLSThroughProxy(t *testing.T) {
	ca := redistest.NewCA(t)
	proxy := redistest.StartProxy(t, redistest.StartTLS(t, ca, false, "redis.internal").TLSAddr())
	if err := overTLS(t, ca, proxy.Addr(), "redis.internal", false); err != nil {
		t.Error(err)
	}
	proxy.CutReply(3)
	if err := overTLS(t, ca, proxy.Addr(), "redis.internal", false); err == nil {
		t.Error("a handshake of 3 bytes succeeds")
	}
}

// TestTLSCluster has TLS between clients and nodes and between the nodes.
func TestTLSCluster(t *testing.T) {
	ca := redistest.NewCA(t)
	c := startCluster(t, 2, 1, append(ca.Args(true, "127.0.0.1"), "--requirepass", "secret")...)
	cert, err := tls.LoadX509KeyPair(ca.Issue(t, "client"))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{c.Nodes()[0].TLSAddr()}, Password: "secret",
		TLSConfig: &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{cert}},
	})
	t.Cleanup(func() { _ = client.Close() })
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		if err := client.Set(t.Context(), key, key, 0).Err(); err != nil {
			t.Error(err)
		}
	}
	to := c.Nodes()[0]
	if c.MasterOf("a") == to {
		to = c.Nodes()[1]
	}
	c.Reshard(c.Slot("a"), to)
	if got, err := to.Client().Get(t.Context(), "a").Result(); got != "a" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := c.Client().Get(t.Context(), "a").Result(); got != "a" || err != nil {
		t.Errorf("the administrator got %q, %v", got, err)
	}
}

func TestTLSSentinel(t *testing.T) {
	ca := redistest.NewCA(t)
	s := startSentinel(t, 1, 3, ca.Args(false, "127.0.0.1")...)
	var sentinels []string
	for _, sentinel := range s.Sentinels() {
		sentinels = append(sentinels, sentinel.TLSAddr())
	}
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: s.MasterName(), SentinelAddrs: sentinels, TLSConfig: &tls.Config{RootCAs: ca.Pool()},
	})
	t.Cleanup(func() { _ = client.Close() })
	failover(t, s)
	if got, err := client.Get(t.Context(), "k").Result(); got != "w" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
