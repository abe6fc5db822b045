package kongtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// front has the listeners for clients.
type front struct {
	plain, tls net.Listener
	server     *http.Server
	serving    sync.WaitGroup
}

func listen(s *StandIn) (*front, error) {
	cert, err := selfSigned()
	if err != nil {
		return nil, err
	}
	f := &front{server: &http.Server{
		Handler: s.admit(),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{cert},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2", "http/1.1"}, // or Serve, if it runs before ServeTLS, switches HTTP/2 off
		},
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       75 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}}
	if f.plain, err = listenTCP(s.ports.proxy); err != nil {
		return nil, err
	}
	if f.tls, err = listenTCP(s.ports.tls); err != nil {
		return nil, errors.Join(err, f.plain.Close())
	}
	f.serving.Go(func() { f.server.Serve(f.plain) })
	f.serving.Go(func() { f.server.ServeTLS(f.tls, "", "") })
	return f, nil
}

// listenTCP listens at a port of the loopback address, any if it is zero.
func listenTCP(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// admit serves requests until the gateway is closed.
func (s *StandIn) admit() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			panic(http.ErrAbortHandler)
		}
		defer s.end()
		s.proxy(w, r)
	})
}

// close waits up to two seconds for requests under way.
func (f *front) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if f.server.Shutdown(ctx) != nil {
		f.server.Close()
	}
	f.serving.Wait()
}

// selfSigned makes a certificate for the loopback addresses.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
