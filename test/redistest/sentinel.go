package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
// args are for the master and the replicas; of them the sentinels take what is
// for TLS. A --requirepass is known to the other servers, to the sentinels and
// to Client; the sentinels themselves ask for no password. With TLS the
// sentinels announce the servers under TLSAddr.
func StartSentinel(tb testing.TB, replicas, sentinels int, args ...string) *Sentinel {
	tb.Helper()
	s := &Sentinel{tb: tb}
	for range 1 + replicas {
		server := &Server{tb: tb, args: slices.Concat(plainArgs, replicationArgs, args)}
		server.args = append(server.args, server.peerArgs()...)
		if len(s.servers) > 0 {
			server.args = append(server.args, "--replicaof", "127.0.0.1", strconv.Itoa(s.servers[0].peerPort()))
		}
		server.start()
		s.servers = append(s.servers, server)
	}
	await(tb, "synchronise the replicas", s.synchronised)
	for range sentinels {
		s.watch(sentinels/2 + 1)
	}
	await(tb, "make the sentinels know each other", func(ctx context.Context) error { return s.agreed(ctx, s.servers[0]) })
	s.client = s.failoverClient()
	tb.Cleanup(func() { _ = s.client.Close() })
	return s
}

// watch starts one more sentinel. It writes what it learns to its file, so that
// it knows it after a restart.
func (s *Sentinel) watch(quorum int) {
	s.tb.Helper()
	master := s.servers[0]
	config := fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d\n", masterName, master.peerPort(), quorum) +
		fmt.Sprintf("sentinel down-after-milliseconds %s 700\n", masterName) +
		fmt.Sprintf("sentinel failover-timeout %s 2000\n", masterName) +
		"sentinel announce-ip 127.0.0.1\n"
	if password := master.setting("--requirepass"); password != "" {
		config += fmt.Sprintf("sentinel auth-pass %s %s\n", masterName, strconv.Quote(password))
	}
	path := filepath.Join(s.tb.TempDir(), "sentinel.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	sentinel := &Server{tb: s.tb, mode: []string{path, "--sentinel"}, args: master.tlsArgs()}
	sentinel.start()
	s.sentinels = append(s.sentinels, sentinel)
	s.hurry(sentinel)
}

// hurry shortens the periods of a sentinel, which are seconds. It must ping more
// often than its down-after-milliseconds, or it finds healthy servers down; but
// during a failover it takes only replicas of which it has news that is younger
// than five pings, and asks for news once a second. Trust in its own clock,
// which it loses in a pause, comes back soon too.
func (s *Sentinel) hurry(sentinel *Server) {
	s.tb.Helper()
	err := sentinel.client.Do(context.Background(), "sentinel", "debug",
		"ping-period", 300, "ask-period", 200, "publish-period", 200, "info-period", 500, "tilt-period", 1000).Err()
	if err != nil {
		s.tb.Fatalf("shorten the periods of a sentinel (Redis 7.0 or later): %v", err)
	}
}

// tlsArgs are those of the server's arguments that make another one speak TLS.
func (s *Server) tlsArgs() (args []string) {
	for i, arg := range s.args {
		if strings.HasPrefix(arg, "--tls-") && i+1 < len(s.args) {
			args = append(args, arg, s.args[i+1])
		}
	}
	return args
}

// Addrs are the addresses of the sentinels.
func (s *Sentinel) Addrs() []string { return addrs(s.sentinels) }

// Sentinels are the sentinels; Client of each is an administrator's.
func (s *Sentinel) Sentinels() []*Server { return slices.Clone(s.sentinels) }

// Servers are the master and the replicas, the first master first.
func (s *Sentinel) Servers() []*Server { return slices.Clone(s.servers) }

// MasterName is what the sentinels call their master.
func (s *Sentinel) MasterName() string { return masterName }

// Client is an administrator's client of the current master.
func (s *Sentinel) Client() *redis.Client { return s.client }

// failoverClient speaks plain to everybody, even where the sentinels announce
// a port for TLS.
func (s *Sentinel) failoverClient() *redis.Client {
	dialer := &net.Dialer{Timeout: startTimeout}
	return redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: s.Addrs(), Password: s.servers[0].setting("--requirepass"),
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			for _, server := range slices.Concat(s.servers, s.sentinels) {
				if addr == server.TLSAddr() {
					addr = server.Addr()
				}
			}
			return dialer.DialContext(ctx, network, addr)
		},
	})
}

// Master is the master that the sentinels name now.
func (s *Sentinel) Master() *Server {
	s.tb.Helper()
	var master *Server
	await(s.tb, "ask the sentinels for the master", func(ctx context.Context) (err error) {
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
	await(s.tb, "replace the master", func(ctx context.Context) error {
		_, err := s.replaced(ctx, dead)
		return err
	})
}

// WaitReady waits until all servers, none of which may be stopped, follow one
// master and the sentinels could replace it, as they can some time after a
// Restart.
func (s *Sentinel) WaitReady() {
	s.tb.Helper()
	await(s.tb, "follow the master again", func(ctx context.Context) error {
		master, err := s.replaced(ctx, nil)
		if err != nil {
			return err
		}
		return s.agreed(ctx, master)
	})
}
