// Package redistest runs real redis-server processes for tests.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startTimeout is how long a redis-server may take until it answers.
const startTimeout = 20 * time.Second

// Server is a redis-server of one test. It ends with the test.
type Server struct {
	tb      testing.TB
	args    []string
	port    int
	client  *redis.Client
	process *exec.Cmd
	output  bytes.Buffer
}

// Start runs redis-server with args in addition to a free port on loopback and
// nothing persistent. A test without redis-server is skipped, but not in CI.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatal("redis-server is not installed (Debian: apt-get install redis-server)")
		}
		tb.Skip("redis-server is not installed (Debian: apt-get install redis-server)")
	}
	s := &Server{tb: tb, args: args}
	s.run()
	tb.Cleanup(s.end)
	return s
}

// run starts the process; a port that another process took meanwhile is
// replaced, unless clients know it already.
func (s *Server) run() {
	s.tb.Helper()
	for try := range 5 {
		if s.client == nil {
			s.port = freePort(s.tb)
		}
		if err := s.spawn(); err != nil {
			s.tb.Fatal(err)
		}
		if s.client == nil {
			s.client = redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DialerRetries: 1})
		}
		if s.answers() {
			return
		}
		s.Stop()
		if try < 4 && len(s.args) == 0 {
			continue
		}
	}
	s.tb.Fatalf("redis-server doesn't answer:\n%s", s.output.String())
}

func (s *Server) spawn() error {
	args := append([]string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", os.TempDir()}, s.args...)
	s.output.Reset()
	s.process = exec.Command("redis-server", args...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	return nil
}

// answers waits until the server answers.
func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if s.client.Ping(ctx).Err() == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Addr is the server's host:port. It stays the same over a restart.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Port is the server's port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// Client is an administrator's client.
func (s *Server) Client() *redis.Client { return s.client }

// Stop kills the server, as a crash does.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // it was killed, which Wait calls an error
	s.process = nil
}

// Restart starts a stopped server again on its port, without its data.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	s.run()
}

// Pause stops the server from doing anything, while its connections stay.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Server) end() {
	_ = s.client.Close()
	s.Stop()
}
