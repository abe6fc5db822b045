package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// masterName is what the sentinels call their master.
const masterName = "m2m"

// Sentinel is a master with its replicas and the sentinels that watch them, of
// one test. It ends with the test.
type Sentinel struct {
	tb        testing.TB
	servers   []*Server // the first master first
	sentinels []*Server
	client    *redis.Client
}

// StartSentinel starts a master, so many replicas and so many sentinels, of
// which most must agree to a failover, and waits until all know each other.
// args are for the master and the replicas.
func StartSentinel(tb testing.TB, replicas, sentinels int, args ...string) *Sentinel {
	tb.Helper()
	s := &Sentinel{tb: tb}
	for range 1 + replicas {
		server := &Server{tb: tb, args: slices.Concat(plainArgs, replicationArgs, args)}
		if len(s.servers) > 0 {
			server.args = append(server.args, "--replicaof", "127.0.0.1", strconv.Itoa(s.servers[0].Port()))
		}
		server.start()
		s.servers = append(s.servers, server)
	}
	wait(tb, "synchronise the replicas", s.synchronised)
	for range sentinels {
		s.watch(sentinels/2 + 1)
	}
	wait(tb, "make the sentinels know each other", func(ctx context.Context) error { return s.agreed(ctx, s.servers[0]) })
	s.client = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: masterName, SentinelAddrs: addrs(s.sentinels)})
	tb.Cleanup(func() { _ = s.client.Close() })
	return s
}

// watch starts one more sentinel. It writes what it learns to its file, so that
// it knows it after a restart.
func (s *Sentinel) watch(quorum int) {
	s.tb.Helper()
	master := s.servers[0]
	config := fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d\n", masterName, master.Port(), quorum) +
		fmt.Sprintf("sentinel down-after-milliseconds %s 700\n", masterName) +
		fmt.Sprintf("sentinel failover-timeout %s 2000\n", masterName) +
		"sentinel announce-ip 127.0.0.1\n"
	path := filepath.Join(s.tb.TempDir(), "sentinel.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	sentinel := &Server{tb: s.tb, mode: []string{path, "--sentinel"}}
	sentinel.start()
	s.sentinels = append(s.sentinels, sentinel)
	s.hurry(sentinel)
}

// hurry shortens the periods of a sentinel, which are seconds. It must ping more
// often than its down-after-milliseconds, or it finds healthy servers down. But
// during a failover it takes only replicas whose last news is younger than five
// pings, and it asks for news once a second. After a pause it should trust its
// own clock again soon.
func (s *Sentinel) hurry(sentinel *Server) {
	s.tb.Helper()
	err := sentinel.client.Do(context.Background(), "sentinel", "debug",
		"ping-period", 300, "ask-period", 200, "publish-period", 200, "info-period", 500, "tilt-period", 1000).Err()
	if err != nil {
		s.tb.Fatalf("shorten the periods of a sentinel (Redis 7.0 or later): %v", err)
	}
}

// Sentinels are the sentinels; Client of each is an administrator's.
func (s *Sentinel) Sentinels() []*Server { return slices.Clone(s.sentinels) }

// Servers are the master and the replicas, the first master first.
func (s *Sentinel) Servers() []*Server { return slices.Clone(s.servers) }

// MasterName is what the sentinels call their master.
func (s *Sentinel) MasterName() string { return masterName }

// Client is an administrator's client of the current master.
func (s *Sentinel) Client() *redis.Client { return s.client }

// Master is the master that the sentinels name now.
func (s *Sentinel) Master() *Server {
	s.tb.Helper()
	var master *Server
	wait(s.tb, "ask the sentinels for the master", func(ctx context.Context) (err error) {
		for _, sentinel := range s.sentinels {
			if sentinel.process == nil {
				continue
			}
			if master, err = s.masterSeenBy(ctx, sentinel); err == nil {
				return nil
			}
		}
		return err
	})
	return master
}

// WaitForFailover waits until all sentinels name another master than dead,
// which the test has stopped or paused, and the other replicas follow it.
func (s *Sentinel) WaitForFailover(dead *Server) {
	s.tb.Helper()
	wait(s.tb, "replace the master", func(ctx context.Context) error {
		_, err := s.successor(ctx, dead)
		return err
	})
}

// WaitReady waits until all servers, none of which may be stopped, follow one
// master and the sentinels could replace it, as they can some time after a
// Restart.
func (s *Sentinel) WaitReady() {
	s.tb.Helper()
	wait(s.tb, "follow the master again", func(ctx context.Context) error {
		master, err := s.successor(ctx, nil)
		if err != nil {
			return err
		}
		return s.agreed(ctx, master)
	})
}
