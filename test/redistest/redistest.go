// Package redistest runs real redis-server processes for tests.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
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
	ended   chan struct{} // closed when process has ended
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
	for range 5 {
		if s.client == nil {
			s.port = FreePort(s.tb)
		}
		if err := s.spawn(); err != nil {
			s.tb.Fatal(err)
		}
		client := s.client
		if client == nil {
			client = redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DialerRetries: 1})
		}
		if s.answers(client) {
			s.client = client
			return
		}
		s.Stop()
		if s.client == nil {
			_ = client.Close()
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
	process, ended := s.process, make(chan struct{})
	s.ended = ended
	go func() {
		_ = process.Wait() // killed, or its output says why
		close(ended)
	}()
	return nil
}

// answers waits until the server answers, and not another one that was faster
// to take the port.
func (s *Server) answers(client *redis.Client) bool {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	self := fmt.Sprintf("process_id:%d\r\n", s.process.Process.Pid)
	for {
		if info, err := client.Info(ctx, "server").Result(); err == nil && strings.Contains(info, self) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-s.ended:
			return false
		case <-ticker.C:
		}
	}
}

// FreePort returns a port on loopback that nobody listens on. It is below those
// that the kernel gives to outgoing connections, so that a server can come back
// to it.
func FreePort(tb testing.TB) int {
	tb.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			_ = l.Close()
			return port
		}
	}
	tb.Fatal("found no free port")
	return 0
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
	<-s.ended
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
