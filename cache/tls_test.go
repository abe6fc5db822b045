package cache

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"

	"github.com/redis/go-redis/v9"
)

// TestTLS: without ssl_verify any certificate will do; with it, one that the
// system trusts.
func TestTLS(t *testing.T) {
	ca := redistest.NewCA(t)
	server := redistest.Start(t, append(ca.Args(false, "redis.internal"), reader...)...)
	write(t, server, prefix+"app:a", "region", "eu")
	if got := region(t, lookups(t, server, unverified(server.TLSPort())), "a"); got != "eu" {
		t.Errorf("unverified: %s", got)
	}
	// The system's roots are read once in a process, so trust needs another.
	trusting := exec.Command(os.Args[0], "-test.run=^TestTrustedTLS$", "-test.v")
	trusting.Env = append(os.Environ(), "SSL_CERT_FILE="+ca.File(), "SSL_CERT_DIR=/nonexistent", "M2M_TEST_TLS_PORT="+strconv.Itoa(server.TLSPort()))
	if out, err := trusting.CombinedOutput(); err != nil {
		t.Errorf("with SSL_CERT_FILE: %v\n%s", err, out)
	}
}

// unverified is a configuration for a server's port for TLS that trusts anyone.
func unverified(port int) func(map[string]any) {
	return func(c map[string]any) {
		secured(port, "", "", "", "")(c)
		c["redis"].(map[string]any)["ssl_verify"] = false
	}
}

// TestTrustedTLS is the part of TestTLS that trusts the server's CA.
func TestTrustedTLS(t *testing.T) {
	port, err := strconv.Atoi(os.Getenv("M2M_TEST_TLS_PORT"))
	if err != nil {
		t.Skip("runs within TestTLS")
	}
	for name, trusted := range map[string]bool{"redis.internal": true, "other.internal": false, "": false} {
		r := New(configAt(t, port, secured(port, "", "", "", name)), nil)
		got, err := r.Record(t.Context(), schema.Application, "a")
		if (err == nil && got["region"] == "eu") != trusted {
			t.Errorf("server name %q: got %v, %v", name, got, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRestartOverTLS: no connection that died while it was idle makes a lookup
// fail, however many there are.
func TestRestartOverTLS(t *testing.T) {
	server := redistest.Start(t, append(redistest.NewCA(t).Args(false), reader...)...)
	r := lookups(t, server, unverified(server.TLSPort()))
	fillPool(t, r, 8)
	server.Restart()
	write(t, server, prefix+"app:a", "region", "us")
	if got, err := r.Record(t.Context(), schema.Application, "a"); err != nil || got["region"] != "us" {
		t.Errorf("got %v, %v", got, err)
	}
}

// fillPool leaves n idle connections in the pool.
func fillPool(t *testing.T, r *Records, n int) {
	t.Helper()
	client := r.store.(*store).client.(*redis.Client)
	release := make([]func() error, n)
	for i := range release {
		conn := client.Conn()
		if err := conn.Exists(t.Context(), prefix+"app:k").Err(); err != nil {
			t.Fatal(err)
		}
		release[i] = conn.Close
	}
	for _, close := range release {
		if err := close(); err != nil {
			t.Fatal(err)
		}
	}
	if idle := client.PoolStats().IdleConns; idle != uint32(n) {
		t.Fatalf("%d connections are idle", idle)
	}
}

// secured is a configuration for a server's port for TLS.
func secured(port int, ca, cert, key, name string) func(map[string]any) {
	return func(c map[string]any) {
		m2m(c)
		redis := c["redis"].(map[string]any)
		redis["port"], redis["ssl"], redis["ssl_verify"] = float64(port), true, true
		for field, value := range map[string]string{"ssl_ca_file": ca, "ssl_cert_file": cert, "ssl_key_file": key, "server_name": name} {
			if value != "" {
				redis[field] = value
			}
		}
	}
}

func TestTLSFaults(t *testing.T) {
	t.Parallel()
	ca, other := redistest.NewCA(t), redistest.NewCA(t)
	open := redistest.Start(t, append(ca.Args(false, "redis.internal", "127.0.0.1"), reader...)...)
	mutual := redistest.Start(t, append(ca.Args(true, "redis.internal"), reader...)...)
	write(t, open, prefix+"app:a", "region", "eu")
	write(t, mutual, prefix+"app:a", "region", "eu")
	cert, key := ca.Issue(t, "client")
	foreignCert, foreignKey := other.Issue(t, "client")
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		server              *redistest.Server
		ca, cert, key, name string
		says                string // nothing: it works
	}{
		"by name":                   {open, ca.File(), "", "", "redis.internal", ""},
		"by address":                {open, ca.File(), "", "", "", ""},
		"with a needless cert":      {open, ca.File(), cert, key, "", ""},
		"wrong CA":                  {open, other.File(), "", "", "redis.internal", "unknown authority"},
		"system's CAs":              {open, "", "", "", "redis.internal", "unknown authority"},
		"wrong name":                {open, ca.File(), "", "", "other.internal", "not other.internal"},
		"missing CA file":           {open, filepath.Join(dir, "none.pem"), "", "", "", "no such file"},
		"unreadable CA file":        {open, dir, "", "", "", "is a directory"},
		"CA file without any":       {open, empty, "", "", "", "no certificate"},
		"mutual":                    {mutual, ca.File(), cert, key, "redis.internal", ""},
		"mutual, no certificate":    {mutual, ca.File(), "", "", "redis.internal", "certificate required"},
		"mutual, foreign":           {mutual, ca.File(), foreignCert, foreignKey, "redis.internal", "unknown certificate authority"},
		"mutual, another's key":     {mutual, ca.File(), cert, foreignKey, "redis.internal", "does not match"},
		"mutual, missing cert file": {mutual, ca.File(), filepath.Join(dir, "none.pem"), key, "redis.internal", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			r := lookups(t, c.server, func(config map[string]any) {
				secured(c.server.TLSPort(), c.ca, c.cert, c.key, c.name)(config)
				config["redis"].(map[string]any)["timeout"] = 20_000.0 // a busy machine must not hide the fault
			})
			got, err := r.Record(t.Context(), schema.Application, "a")
			switch {
			case c.says == "" && (err != nil || got["region"] != "eu"):
				t.Errorf("got %v, %v", got, err)
			case c.says != "" && (!errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, %v; want %q", got, err, c.says)
			}
			closed(t, r, c.server)
		})
	}
}

// TestTLSTraffic has a server with mutual TLS restart under traffic.
func TestTLSTraffic(t *testing.T) {
	t.Parallel()
	ca := redistest.NewCA(t)
	server := redistest.Start(t, append(ca.Args(true, "redis.internal"), reader...)...)
	cert, key := ca.Issue(t, "client")
	r := lookups(t, server, secured(server.TLSPort(), ca.File(), cert, key, "redis.internal"))
	tr := drive(t, r, server.Client(), "a", "b")
	server.Stop()
	tr.fails(100)
	tr.absent.Store(true)
	server.Restart()
	tr.recovers(server.Client(), server)
}

// TestRenewedFiles: certificates that are replaced on disk count from the next
// connection on, without a reload.
func TestRenewedFiles(t *testing.T) {
	t.Parallel()
	ca, old := redistest.NewCA(t), redistest.NewCA(t)
	server := redistest.Start(t, append(ca.Args(true, "redis.internal"), reader...)...)
	write(t, server, prefix+"app:a", "region", "eu")
	dir := t.TempDir()
	install := func(name, from string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	oldCert, oldKey := old.Issue(t, "client")
	caFile, certFile, keyFile := install("ca", old.File()), install("cert", oldCert), install("key", oldKey)
	r := lookups(t, server, secured(server.TLSPort(), caFile, certFile, keyFile, "redis.internal"))
	skip := skipping(r)
	fails := func(says string) {
		t.Helper()
		skip(retryInterval)
		if _, err := r.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v; want %q", err, says)
		}
	}
	fails("certificate signed by unknown authority")
	install("ca", ca.File())
	fails("unknown certificate authority")
	cert, key := ca.Issue(t, "client")
	install("cert", cert)
	fails("does not match")
	install("key", key)
	skip(retryInterval)
	if got := region(t, r, "a"); got != "eu" {
		t.Errorf("with new files: %s", got)
	}
	closed(t, r, server)
}

// TestTLSCutAnywhere: a handshake or a reply that ends anywhere is an outage or
// asked again, and never a part of a record.
func TestTLSCutAnywhere(t *testing.T) {
	t.Parallel()
	ca := redistest.NewCA(t)
	server := redistest.Start(t, append(ca.Args(false, "redis.internal"), reader...)...)
	write(t, server, prefix+"app:a", "region", "eu")
	proxy := redistest.StartProxy(t, server.TLSAddr())
	r := lookups(t, server, secured(proxy.Port(), ca.File(), "", "", "redis.internal"))
	skip := skipping(r)
	for n := range 40 {
		proxy.Drop()
		proxy.CutReply(n * n)
		got, err := r.Record(t.Context(), schema.Application, "a")
		if err == nil && got["region"] != "eu" || err != nil && !errors.Is(err, schema.ErrUnavailable) {
			t.Errorf("cut after %d bytes: %v, %v", n*n, got, err)
		}
		skip(retryInterval)
		proxy.Pass()
		if got := region(t, r, "a"); got != "eu" {
			t.Errorf("after a cut after %d bytes: %s", n*n, got)
		}
	}
	closed(t, r, server)
}
