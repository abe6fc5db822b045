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

// overTLS is the reader's configuration for a server's port for TLS.
func overTLS(port int, ca, cert, key, name string) option {
	return func(c *schema.Config) {
		asReader(c)
		c.Redis.Port, c.Redis.SSL, c.Redis.SSLVerify, c.Redis.ServerName = port, true, true, name
		c.Redis.SSLCAFile, c.Redis.SSLCertFile, c.Redis.SSLKeyFile = ca, cert, key
	}
}

// unverified trusts any server.
func unverified(port int) option {
	return func(c *schema.Config) { overTLS(port, "", "", "", "")(c); c.Redis.SSLVerify = false }
}

// startTLS starts a server that speaks TLS and has the application a.
func startTLS(t *testing.T, ca *redistest.CA, clientAuth bool, names ...string) *redistest.Server {
	t.Helper()
	server := redistest.Start(t, append(ca.Args(clientAuth, names...), reader...)...)
	write(t, server, prefix+"app:a", "region", "eu")
	return server
}

// TestTLS: without ssl_verify any certificate will do; with it, one that the
// system trusts.
func TestTLS(t *testing.T) {
	ca := redistest.NewCA(t)
	server := startTLS(t, ca, false, "redis.internal")
	wantRegion(t, lookups(t, server, unverified(server.TLSPort())), "a", "eu")
	// The system's roots are read once in a process, so trust needs another.
	trusting := exec.Command(os.Args[0], "-test.run=^TestTrustedTLS$", "-test.v")
	trusting.Env = append(os.Environ(), "SSL_CERT_FILE="+ca.File(), "SSL_CERT_DIR=/nonexistent", "M2M_TEST_TLS_PORT="+strconv.Itoa(server.TLSPort()))
	if out, err := trusting.CombinedOutput(); err != nil {
		t.Errorf("with SSL_CERT_FILE: %v\n%s", err, out)
	}
}

// TestTrustedTLS is the part of TestTLS that trusts the server's CA.
func TestTrustedTLS(t *testing.T) {
	port, err := strconv.Atoi(os.Getenv("M2M_TEST_TLS_PORT"))
	if err != nil {
		t.Skip("runs within TestTLS")
	}
	for name, trusted := range map[string]bool{"redis.internal": true, "other.internal": false, "": false} {
		got, err := app(t, open(t, configAt(port, overTLS(port, "", "", "", name))), "a")
		if (err == nil && got["region"] == "eu") != trusted {
			t.Errorf("server name %q: got %v, %v, want trust: %v", name, got, err, trusted)
		}
	}
}

// TestRestartOverTLS: no connection that died while it was idle makes a lookup
// fail, however many there are.
func TestRestartOverTLS(t *testing.T) {
	server := startTLS(t, redistest.NewCA(t), false)
	r := lookups(t, server, unverified(server.TLSPort()))
	fillPool(t, r, 8)
	server.Restart()
	write(t, server, prefix+"app:a", "region", "us")
	wantRegion(t, r, "a", "us")
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

func TestTLSFaults(t *testing.T) {
	t.Parallel()
	ca, other := redistest.NewCA(t), redistest.NewCA(t)
	public := startTLS(t, ca, false, "redis.internal", "127.0.0.1")
	mutual := startTLS(t, ca, true, "redis.internal")
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
		"by name":                   {public, ca.File(), "", "", "redis.internal", ""},
		"by address":                {public, ca.File(), "", "", "", ""},
		"with a needless cert":      {public, ca.File(), cert, key, "", ""},
		"wrong CA":                  {public, other.File(), "", "", "redis.internal", "unknown authority"},
		"system's CAs":              {public, "", "", "", "redis.internal", "unknown authority"},
		"wrong name":                {public, ca.File(), "", "", "other.internal", "not other.internal"},
		"missing CA file":           {public, filepath.Join(dir, "none.pem"), "", "", "", "no such file"},
		"unreadable CA file":        {public, dir, "", "", "", "is a directory"},
		"CA file without any":       {public, empty, "", "", "", "no certificate"},
		"mutual":                    {mutual, ca.File(), cert, key, "redis.internal", ""},
		"mutual, no certificate":    {mutual, ca.File(), "", "", "redis.internal", "certificate required"},
		"mutual, foreign":           {mutual, ca.File(), foreignCert, foreignKey, "redis.internal", "unknown certificate authority"},
		"mutual, another's key":     {mutual, ca.File(), cert, foreignKey, "redis.internal", "does not match"},
		"mutual, missing cert file": {mutual, ca.File(), filepath.Join(dir, "none.pem"), key, "redis.internal", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			// A busy machine must not hide the fault behind a timeout.
			r := lookups(t, c.server, overTLS(c.server.TLSPort(), c.ca, c.cert, c.key, c.name), timeout(20_000))
			got, err := app(t, r, "a")
			switch {
			case c.says == "" && (err != nil || got["region"] != "eu"):
				t.Errorf("got %v, %v, want the record", got, err)
			case c.says != "" && (!errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, %v, want %q", got, err, c.says)
			}
			closed(t, r, c.server)
		})
	}
}

// TestRenewedFiles: the next connection uses certificates that are replaced on
// disk, without a reload.
func TestRenewedFiles(t *testing.T) {
	t.Parallel()
	ca, old := redistest.NewCA(t), redistest.NewCA(t)
	server := startTLS(t, ca, true, "redis.internal")
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
	r := lookups(t, server, overTLS(server.TLSPort(), caFile, certFile, keyFile, "redis.internal"))
	skip := skipping(r)
	fails := func(says string) {
		t.Helper()
		skip(retryInterval)
		if got := region(t, r, "a"); !strings.Contains(got, says) {
			t.Errorf("got %s, want %q", got, says)
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
	wantRegion(t, r, "a", "eu")
	closed(t, r, server)
}

// TestTLSFilesWithMark: the files may begin with a byte order mark.
func TestTLSFilesWithMark(t *testing.T) {
	ca := redistest.NewCA(t)
	server := startTLS(t, ca, true, "redis.internal")
	cert, key := ca.Issue(t, "client")
	dir := t.TempDir()
	marked := func(from string) string {
		t.Helper()
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(from))
		if err := os.WriteFile(path, append([]byte("\ufeff"), text...), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wantRegion(t, lookups(t, server, overTLS(server.TLSPort(), marked(ca.File()), marked(cert), marked(key), "redis.internal")), "a", "eu")
}

// TestTLSCutAnywhere: a handshake or a reply that ends anywhere is an outage or
// asked again, and never a part of a record.
func TestTLSCutAnywhere(t *testing.T) {
	t.Parallel()
	ca := redistest.NewCA(t)
	server := startTLS(t, ca, false, "redis.internal")
	proxy := redistest.StartProxy(t, server.TLSAddr())
	r := lookups(t, server, overTLS(proxy.Port(), ca.File(), "", "", "redis.internal"), timeout(10_000))
	skip := skipping(r)
	for n := range 40 {
		proxy.Drop()
		proxy.CutReply(n * n)
		got, err := app(t, r, "a")
		if err == nil && got["region"] != "eu" || err != nil && !errors.Is(err, schema.ErrUnavailable) {
			t.Errorf("cut after %d bytes: %v, %v", n*n, got, err)
		}
		skip(retryInterval)
		proxy.Pass()
		wantRegion(t, r, "a", "eu")
	}
	closed(t, r, server)
}
