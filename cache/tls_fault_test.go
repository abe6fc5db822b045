package cache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

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
			r := lookups(t, c.server, secured(c.server.TLSPort(), c.ca, c.cert, c.key, c.name))
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
	tr.waitFor("answers", &tr.served, 100)
	server.Stop()
	tr.require(unserved)
	tr.waitFor("failures", &tr.failed, 100)
	tr.require(anything)
	tr.absent.Store(true)
	server.Restart()
	tr.back(server.Client(), time.Now())
	tr.stop()
	closed(t, r, server)
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
		skip(pauseAfterFailure)
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
	skip(pauseAfterFailure)
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
		skip(pauseAfterFailure)
		proxy.Pass()
		if got := region(t, r, "a"); got != "eu" {
			t.Errorf("after a cut after %d bytes: %s", n*n, got)
		}
	}
	closed(t, r, server)
}
