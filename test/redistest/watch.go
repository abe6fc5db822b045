package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

var errAllStopped = errors.New("every sentinel is stopped")

func (s *Sentinel) synchronised(ctx context.Context) error {
	for _, server := range s.servers {
		if err := server.synchronised(ctx); err != nil {
			return err
		}
	}
	return nil
}

// agreed fails until the sentinels watch master and could replace it by one of
// its replicas.
func (s *Sentinel) agreed(ctx context.Context, master *Server) error {
	for _, sentinel := range s.sentinels {
		if sentinel.process == nil {
			continue
		}
		if err := s.watches(ctx, sentinel, master); err != nil {
			return fmt.Errorf("sentinel %s: %w", sentinel.Addr(), err)
		}
	}
	return nil
}

func (s *Sentinel) watches(ctx context.Context, sentinel, master *Server) error {
	seen := redis.NewMapStringStringCmd(ctx, "sentinel", "master", masterName)
	if err := sentinel.client.Process(ctx, seen); err != nil {
		return err
	}
	want := map[string]string{
		"port": strconv.Itoa(master.Port()), "flags": "master",
		"num-slaves": strconv.Itoa(len(s.servers) - 1), "num-other-sentinels": strconv.Itoa(len(s.sentinels) - 1),
	}
	for field, value := range want {
		if got := seen.Val()[field]; got != value {
			return fmt.Errorf("%s is %q, not yet %q", field, got, value)
		}
	}
	replicas := redis.NewMapStringStringSliceCmd(ctx, "sentinel", "replicas", masterName)
	if err := sentinel.client.Process(ctx, replicas); err != nil {
		return err
	}
	for _, replica := range replicas.Val() {
		if replica["flags"] != "slave" || replica["master-link-status"] != "ok" {
			return fmt.Errorf("replica %s is %s, its link to the master %s", replica["name"], replica["flags"], replica["master-link-status"])
		}
	}
	return nil
}

func (s *Sentinel) masterSeenBy(ctx context.Context, sentinel *Server) (*Server, error) {
	addr, err := sentinel.client.Do(ctx, "sentinel", "get-master-addr-by-name", masterName).StringSlice()
	if err != nil {
		return nil, err
	}
	for _, server := range s.servers {
		if len(addr) == 2 && addr[1] == strconv.Itoa(server.Port()) {
			return server, nil
		}
	}
	return nil, fmt.Errorf("nobody is the master at %v", addr)
}

// successor is the master that does the work of dead; the error says what is
// missing until there is one.
func (s *Sentinel) successor(ctx context.Context, dead *Server) (master *Server, err error) {
	for _, sentinel := range s.sentinels {
		if sentinel.process == nil {
			continue
		}
		seen, err := s.masterSeenBy(ctx, sentinel)
		if err != nil {
			return nil, err
		}
		if seen == dead || master != nil && seen != master {
			return nil, fmt.Errorf("sentinel %s names %s", sentinel.Addr(), seen.Addr())
		}
		master = seen
	}
	if master == nil {
		return nil, errAllStopped
	}
	for _, server := range s.servers {
		if server == dead || server.process == nil {
			continue
		}
		if err := server.follows(ctx, master); err != nil {
			return nil, err
		}
	}
	return master, nil
}

// follows fails unless the server is in sync with master, or is master.
func (s *Server) follows(ctx context.Context, master *Server) error {
	want := fmt.Sprintf("master_port:%d\r\n", master.Port())
	if s == master {
		want = "role:master\r\n"
	}
	info, err := s.client.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, want) {
		return fmt.Errorf("%s doesn't follow %s", s.Addr(), master.Addr())
	}
	return s.synchronised(ctx)
}
