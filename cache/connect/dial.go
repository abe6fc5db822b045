package connect

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"m2m-token-enricher/schema"
)

// dialer returns a function that makes connections. It reads the files of cfg for
// each one, so a renewed certificate needs no reload.
func dialer(cfg schema.Redis) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, milliseconds(cfg.ConnectTimeout))
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil || !cfg.SSL {
			return conn, err
		}
		secure, err := secured(ctx, cfg, conn, addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("TLS with %s: %w", addr, err), conn.Close())
		}
		return secure, nil
	}
}

func secured(ctx context.Context, cfg schema.Redis, conn net.Conn, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		ServerName:         cmp.Or(cfg.ServerName, host),
		InsecureSkipVerify: !cfg.SSLVerify,
		MinVersion:         tls.VersionTLS12,
	}
	if cfg.SSLCAFile != "" {
		if config.RootCAs, err = trusted(cfg.SSLCAFile); err != nil {
			return nil, err
		}
	}
	if cfg.SSLCertFile != "" {
		pair, err := keyPair(cfg.SSLCertFile, cfg.SSLKeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	secure := tls.Client(conn, config)
	return secure, secure.HandshakeContext(ctx)
}

func keyPair(certFile, keyFile string) (pair tls.Certificate, err error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return pair, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return pair, err
	}
	return tls.X509KeyPair(schema.WithoutMark(cert), schema.WithoutMark(key))
}

func trusted(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("CA certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(schema.WithoutMark(text)) {
		return nil, fmt.Errorf("CA certificates: no certificate in %s", path)
	}
	return pool, nil
}
