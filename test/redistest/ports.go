package redistest

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// ports are those on which one server listens; zero means not at all.
type ports struct {
	plain, tls, bus int
}

func (s *Server) freePorts() ports {
	s.tb.Helper()
	p := ports{plain: FreePort(s.tb)}
	if s.speaksTLS() {
		p.tls = FreePort(s.tb)
	}
	if s.bus { // by default plain+10000, which may be anybody's
		p.bus = FreePort(s.tb)
	}
	return p
}

func (p ports) args() []string {
	args := []string{"--port", strconv.Itoa(p.plain)}
	if p.tls != 0 {
		args = append(args, "--tls-port", strconv.Itoa(p.tls))
	}
	if p.bus != 0 {
		args = append(args, "--cluster-port", strconv.Itoa(p.bus))
	}
	return args
}

// FreePort returns what [FindPort] finds.
func FreePort(tb testing.TB) int {
	tb.Helper()
	port, err := FindPort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// FindPort returns a port on loopback that nobody listens on. It is below those
// that the kernel gives to outgoing connections, so a server can return
// to it.
func FindPort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", loopback(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("found no free port")
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Addr is the server's host:port. It stays the same over a restart.
func (s *Server) Addr() string { return loopback(s.ports.plain) }

// Port is the server's port on 127.0.0.1.
func (s *Server) Port() int { return s.ports.plain }

// TLSAddr is the host:port on which the server speaks TLS.
func (s *Server) TLSAddr() string { return loopback(s.ports.tls) }

// TLSPort is the server's port for TLS on 127.0.0.1, or zero if it has none.
func (s *Server) TLSPort() int { return s.ports.tls }

func (s *Server) speaksTLS() bool { return s.setting("--tls-cert-file") != "" }
