package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"m2m-token-enricher/test/redistest"
)

// redisServer is a redis-server process. It saves nothing until its shutdown:
// saving would disturb what is measured.
type redisServer struct {
	port    int
	dir     string // of its data
	process *os.Process
	ended   chan struct{} // closed when process has ended
}

func newRedisServer() (s *redisServer, err error) {
	s = &redisServer{}
	if s.port, err = redistest.FindPort(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "m2m-redis-"); err != nil {
		return nil, err
	}
	if err := s.run(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// run starts the process, which finds the data that the previous one saved.
func (s *redisServer) run() error {
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, or shut down
		close(ended)
	}()
	s.process, s.ended = cmd.Process, ended
	return nil
}

// wait waits until the process has ended.
func (s *redisServer) wait(ctx context.Context) error {
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redis-server doesn't end: %w", ctx.Err())
	}
}

// close ends the process and its data.
func (s *redisServer) close() error {
	if s.process != nil {
		_ = s.process.Kill() // it may have ended
		<-s.ended
	}
	return os.RemoveAll(s.dir)
}
