package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a private certificate authority of one test.
type CA struct {
	tb     testing.TB
	dir    string
	key    *ecdsa.PrivateKey
	root   *x509.Certificate
	serial int64
}

// NewCA makes a CA that is valid for an hour, and that no system knows.
func NewCA(tb testing.TB) *CA {
	tb.Helper()
	ca := &CA{tb: tb, dir: tb.TempDir()}
	ca.key = ca.newKey()
	ca.root = ca.template("redistest CA")
	ca.root.IsCA, ca.root.BasicConstraintsValid = true, true
	ca.root.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der := ca.sign(ca.root, ca.key)
	root, err := x509.ParseCertificate(der) // with the key identifier that what it issues refers to
	if err != nil {
		tb.Fatal(err)
	}
	ca.root = root
	ca.write(ca.File(), "CERTIFICATE", der)
	return ca
}

// File is the path of the CA's certificate in PEM.
func (ca *CA) File() string { return filepath.Join(ca.dir, "ca.pem") }

// Issue makes a certificate for a server or a client, and its key. Its names
// are DNS names or IP addresses; there may be none.
func (ca *CA) Issue(tb testing.TB, names ...string) (certFile, keyFile string) {
	tb.Helper()
	template := ca.template("redistest")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	key := ca.newKey()
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	certFile = filepath.Join(ca.dir, fmt.Sprintf("%d-cert.pem", ca.serial))
	keyFile = filepath.Join(ca.dir, fmt.Sprintf("%d-key.pem", ca.serial))
	ca.write(certFile, "CERTIFICATE", ca.sign(template, key))
	ca.write(keyFile, "PRIVATE KEY", keyDER)
	return certFile, keyFile
}

// Args are the arguments of a server that speaks TLS with a certificate for
// names, and with clientAuth only to clients that have a certificate of this CA.
func (ca *CA) Args(clientAuth bool, names ...string) []string {
	ca.tb.Helper()
	cert, key := ca.Issue(ca.tb, names...)
	clients := "no"
	if clientAuth {
		clients = "yes"
	}
	return []string{"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.File(), "--tls-auth-clients", clients}
}

func (ca *CA) template(name string) *x509.Certificate {
	ca.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(ca.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

func (ca *CA) newKey() *ecdsa.PrivateKey {
	ca.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.tb.Fatal(err)
	}
	return key
}

func (ca *CA) sign(template *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	ca.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, ca.root, key.Public(), ca.key)
	if err != nil {
		ca.tb.Fatal(err)
	}
	return der
}

func (ca *CA) write(path, kind string, der []byte) {
	ca.tb.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		ca.tb.Fatal(err)
	}
}
