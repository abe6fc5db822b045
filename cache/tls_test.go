package cache

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// certificate writes a self-signed certificate for redis.internal and its key
// into dir; the certificate is its own CA.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis.internal"}, DNSNames: []string{"redis.internal"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// startTLS starts a server that speaks TLS on port, and plain on another.
func startTLS(t *testing.T) (server *redistest.Server, port int, ca string) {
	t.Helper()
	cert, key := certificate(t, t.TempDir())
	port = redistest.FreePort(t)
	server = redistest.Start(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	write(t, server, prefix+"app:a", "region", "eu")
	return server, port, cert
}

func overTLS(port int, verify bool, name string) func(map[string]any) {
	return func(c map[string]any) {
		redis := c["redis"].(map[string]any)
		redis["port"], redis["ssl"], redis["ssl_verify"] = float64(port), true, verify
		if name != "" {
			redis["server_name"] = name
		}
	}
}

func TestTLS(t *testing.T) {
	server, port, ca := startTLS(t)
	if got, err := lookups(t, server, overTLS(port, false, "")).Record(t.Context(), schema.Application, "a"); err != nil || got["region"] != "eu" {
		t.Errorf("unverified: got %v, %v", got, err)
	}
	_, err := lookups(t, server, overTLS(port, true, "redis.internal")).Record(t.Context(), schema.Application, "a")
	if !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("a CA that the system doesn't know: %v", err)
	}
	// The system's roots are read once in a process, so trust needs another.
	trusting := exec.Command(os.Args[0], "-test.run=^TestTrustedTLS$", "-test.v")
	trusting.Env = append(os.Environ(), "SSL_CERT_FILE="+ca, "SSL_CERT_DIR=/nonexistent", "M2M_TEST_TLS_PORT="+strconv.Itoa(port))
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
		cfg := configAt(t, port, overTLS(port, true, name))
		r := New(cfg)
		got, err := r.Record(t.Context(), schema.Application, "a")
		if (err == nil && got["region"] == "eu") != trusted {
			t.Errorf("server name %q: got %v, %v", name, got, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
