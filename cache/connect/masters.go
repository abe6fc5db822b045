package connect

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
)

// Masters finds the servers that currently take writes. Safe for concurrent use.
type Masters struct {
	cfg     schema.Redis
	cluster *redis.ClusterClient // nil unless it is a cluster
}

// NewMasters returns the masters of the Redis of cfg. It doesn't connect.
func NewMasters(cfg schema.Redis) *Masters {
	m := &Masters{cfg: cfg}
	if len(cfg.ClusterNodes) > 0 {
		m.cluster = openCluster(cfg, stateAge)
	}
	return m
}

// Addrs returns the host:port of each master.
func (m *Masters) Addrs(ctx context.Context) ([]string, error) {
	switch {
	case m.cluster != nil:
		return m.ofCluster(ctx)
	case m.cfg.SentinelMaster != "":
		return m.ofSentinel(ctx)
	}
	return []string{address(m.cfg.Host, m.cfg.Port)}, nil
}

func (m *Masters) ofCluster(ctx context.Context) ([]string, error) {
	var mu sync.Mutex // the driver calls back from one goroutine per master
	var addrs []string
	err := m.cluster.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		addrs = append(addrs, master.Options().Addr)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask the cluster for its masters: %w", err)
	}
	return addrs, nil
}

func (m *Masters) ofSentinel(ctx context.Context) ([]string, error) {
	var failures []error
	for _, addr := range sentinels(m.cfg) {
		master, err := m.askSentinel(ctx, addr)
		if err == nil {
			return []string{master}, nil
		}
		failures = append(failures, err)
	}
	return nil, fmt.Errorf("ask the sentinels for the master %q: %w", m.cfg.SentinelMaster, errors.Join(failures...))
}

func (m *Masters) askSentinel(ctx context.Context, addr string) (string, error) {
	cfg := m.cfg
	cfg.Username, cfg.Password, cfg.Database = cfg.SentinelUsername, cfg.SentinelPassword, 0
	sentinel := redis.NewSentinelClient(options(cfg, addr).Simple())
	defer sentinel.Close()
	answer, err := sentinel.GetMasterAddrByName(ctx, m.cfg.SentinelMaster).Result()
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", addr, err)
	case len(answer) != 2:
		return "", fmt.Errorf("%s: the answer has %d parts, not 2", addr, len(answer))
	}
	return answer[0] + ":" + answer[1], nil
}

// Close closes the connections.
func (m *Masters) Close() error {
	if m.cluster == nil {
		return nil
	}
	return m.cluster.Close()
}
