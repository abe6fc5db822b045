// Package redistest runs real redis-server processes for tests.
package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
)

// startTimeout is how long a redis-server may take until it answers.
const startTimeout = 20 * time.Second

// Server is a redis-server of one test. It ends with the test.
type Server struct {
	tb      testing.TB
	mode    []string // first arguments of a server that isn't a plain one
	args    []string
	bus     bool   // a node of a cluster needs one more port
	dir     string // its own, where it finds a dump or its nodes.conf again
	ports   ports
	client  *redis.Client
	process *exec.Cmd
	running context.Context // ends with process
	output  bytes.Buffer
}

// plainArgs keep a server from writing its data to a file.
var plainArgs = []string{"--save", "", "--appendonly", "no"}

// Start runs redis-server with args in addition to a free port on loopback and
// nothing persistent. Each word of a setting is an argument of its own. A test
// without redis-server is skipped, but not in CI.
//
// With --tls-cert-file it listens on a free port for TLS, too. The default user
// must keep every right, because Client is that user. Client knows a
// --requirepass.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, args: slices.Concat(plainArgs, args)}
	s.start()
	return s
}

func (s *Server) start() {
	s.tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			s.tb.Fatal("redis-server is not installed (Debian: apt-get install redis-server)")
		}
		s.tb.Skip("redis-server is not installed (Debian: apt-get install redis-server)")
	}
	s.dir = s.tb.TempDir()
	s.tb.Cleanup(s.end)
	s.run()
}

// run starts the process with args that are for this time only; a port that
// another process took meanwhile is replaced, unless clients know it already.
func (s *Server) run(args ...string) {
	s.tb.Helper()
	for range 5 {
		if s.client == nil {
			s.ports = s.freePorts()
		}
		if err := s.spawn(args); err != nil {
			s.tb.Fatal(err)
		}
		client := s.client
		if client == nil {
			client = redis.NewClient(&redis.Options{Addr: s.Addr(), Password: s.setting("--requirepass"), MaxRetries: -1, DialerRetries: 1})
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

func (s *Server) spawn(once []string) error {
	args := slices.Concat(s.mode, s.ports.args(), []string{"--bind", "127.0.0.1", "--dir", s.dir}, s.args, once)
	s.output.Reset()
	s.process = exec.Command("redis-server", args...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	s.process.WaitDelay = time.Second // a child that saves holds the output too
	if err := s.process.Start(); err != nil {
		s.process = nil
		return fmt.Errorf("start redis-server: %w", err)
	}
	process := s.process
	running, ended := context.WithCancel(context.Background())
	s.running = running
	go func() {
		defer ended()
		_ = process.Wait() // killed, or its output says why
	}()
	return nil
}

// setting is the value that an option such as --requirepass has in args, or
// nothing.
func (s *Server) setting(option string) string {
	if i := slices.Index(s.args, option); i >= 0 && i+1 < len(s.args) {
		return s.args[i+1]
	}
	return ""
}

// answers waits until the server answers, and not another one that was faster
// to take the port.
func (s *Server) answers(client *redis.Client) bool {
	ctx, cancel := context.WithTimeout(s.running, startTimeout)
	defer cancel()
	self := fmt.Sprintf("process_id:%d\r\n", s.process.Process.Pid)
	return await.Success(ctx, func() error {
		info, err := client.Info(ctx, "server").Result()
		if err == nil && !strings.Contains(info, self) {
			err = errors.New("another server")
		}
		return err
	}) == nil
}

// Client is an administrator's client.
func (s *Server) Client() *redis.Client { return s.client }

// Stop kills the server, as a crash does.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.running.Done()
	s.process = nil
}

// Restart starts a stopped server again on its ports, without its data. A node
// of a cluster and a sentinel remember their peers.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	if err := os.RemoveAll(s.dump()); err != nil { // a replica leaves one after its synchronisation
		s.tb.Fatal(err)
	}
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
	if s.client != nil {
		_ = s.client.Close()
	}
	s.Stop()
}

// wait tries until done returns nil. The test ends with its last error if that
// takes too long.
func wait(tb testing.TB, what string, done func(context.Context) error) {
	tb.Helper()
	await.Nil(tb, func() error {
		if err := done(context.Background()); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// Config is the configuration for a server on a port of loopback. The timeouts
// are long enough for a busy machine.
func Config(port int) schema.Redis {
	cfg := schema.DefaultRedis()
	cfg.Port = port
	cfg.ConnectTimeout, cfg.SendTimeout, cfg.ReadTimeout = 20_000, 20_000, 20_000
	return cfg
}
