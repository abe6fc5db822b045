package redistest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// loadStep is the part of loading that one ballast key takes. The server
// answers between two of them.
const loadStep = 5 * time.Millisecond

func (s *Server) dump() string { return filepath.Join(s.dir, "dump.rdb") }

// RestartLoading restarts a server, which isn't part of a cluster, with its data
// and returns while it still answers -LOADING. It does so for about d; 100 ms is
// the least that makes sense.
func (s *Server) RestartLoading(d time.Duration) {
	s.tb.Helper()
	s.load(d)
	if err := s.client.Save(context.Background()).Err(); err != nil {
		s.tb.Fatalf("save the data: %v", err)
	}
	s.Stop()
	// key-load-delay (in µs) is how Redis' own tests slow loading down. Redis
	// answers only every so many bytes, 2 MB unless told.
	s.run("--key-load-delay", strconv.FormatInt(loadStep.Microseconds(), 10), "--loading-process-events-interval-bytes", "1024")
	if err := s.loaded(context.Background()); !errors.Is(err, errLoading) {
		s.tb.Fatalf("the server isn't loading: %v", err)
	}
}

// WaitLoaded waits until the server has loaded its data.
func (s *Server) WaitLoaded() {
	s.tb.Helper()
	wait(s.tb, "load the dump", s.loaded)
	// The dump has done its part; a crash from here on loses the data.
	if err := os.RemoveAll(s.dump()); err != nil {
		s.tb.Fatal(err)
	}
}

var errLoading = errors.New("the server is loading")

func (s *Server) loaded(ctx context.Context) error {
	info, err := s.client.Info(ctx, "persistence").Result()
	if err == nil && !strings.Contains(info, "\nloading:0\r\n") { // not async_loading
		err = errLoading
	}
	return err
}

// load adds keys that make loading take d. They expire before it ends, so that
// nobody sees them afterwards.
func (s *Server) load(d time.Duration) {
	s.tb.Helper()
	ctx := context.Background()
	value := make([]byte, 2048) // more than the server reads between two answers
	_, _ = rand.Read(value)     // or the dump would hold less of it
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range d / loadStep {
			pipe.Do(ctx, "set", fmt.Sprint("ballast:", i), value, "px", d.Milliseconds())
		}
		return nil
	})
	if err != nil {
		s.tb.Fatalf("add data to load: %v", err)
	}
}
