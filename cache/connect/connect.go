// Package connect makes the clients to Redis: to one server, to the master that
// Sentinel names, or to a cluster.
package connect

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"m2m-token-enricher/schema"
)

func init() { redis.SetLogger(silence{}) }

// silence drops the driver's own log: what matters comes back as an error.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// uncounted is a size that a pool hardly reaches. Once as many dials have failed
// as a pool has places, the driver answers with the last failure, and does so
// for up to a second after Redis is back.
const uncounted = 1 << 13

// Budget is what one command may take: to connect, to send and to receive.
func Budget(cfg schema.Redis) time.Duration {
	return milliseconds(cfg.ConnectTimeout + cfg.SendTimeout + cfg.ReadTimeout)
}

// Open returns a client to the Redis that cfg says. It doesn't connect, and it
// repeats no command by itself but those that a cluster redirects. How many
// connections there are is left to the caller; at most cfg.PoolSize are kept
// when they are idle.
func Open(cfg schema.Redis) redis.UniversalClient {
	switch {
	case len(cfg.ClusterNodes) > 0:
		return redis.NewClusterClient(clusterOptions(cfg))
	case cfg.SentinelMaster != "":
		return redis.NewFailoverClient(failoverOptions(cfg))
	}
	return redis.NewClient(serverOptions(cfg, address(cfg.Host, cfg.Port)))
}

// Server returns a client to the one server at addr, with what cfg says of
// users, timeouts and TLS. onConnect is called for each new connection.
func Server(cfg schema.Redis, addr string, onConnect func(context.Context, *redis.Conn) error) *redis.Client {
	opts := serverOptions(cfg, addr)
	opts.OnConnect = onConnect
	return redis.NewClient(opts)
}

func serverOptions(cfg schema.Redis, addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, Dialer: dialer(cfg), DB: cfg.Database,
		Username: cfg.Username, Password: string(cfg.Password),
		DialTimeout: milliseconds(cfg.ConnectTimeout), DialerRetries: 1,
		WriteTimeout: milliseconds(cfg.SendTimeout), ReadTimeout: milliseconds(cfg.ReadTimeout),
		ContextTimeoutEnabled: true, // or the handler's deadline wouldn't count
		MaxRetries:            -1,   // they would repeat timeouts
		PoolSize:              uncounted, MaxIdleConns: cfg.PoolSize,
		DisableIdentity:          true, // CLIENT SETINFO needs rights that reading doesn't
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func failoverOptions(cfg schema.Redis) *redis.FailoverOptions {
	return &redis.FailoverOptions{
		MasterName: cfg.SentinelMaster, SentinelAddrs: sentinels(cfg), Dialer: dialer(cfg), DB: cfg.Database,
		Username: cfg.Username, Password: string(cfg.Password),
		SentinelUsername: cfg.SentinelUsername, SentinelPassword: string(cfg.SentinelPassword),
		DialTimeout: milliseconds(cfg.ConnectTimeout), DialerRetries: 1,
		WriteTimeout: milliseconds(cfg.SendTimeout), ReadTimeout: milliseconds(cfg.ReadTimeout),
		ContextTimeoutEnabled: true, MaxRetries: -1, PoolSize: uncounted, MaxIdleConns: cfg.PoolSize,
		DisableIdentity: true,
	}
}

func clusterOptions(cfg schema.Redis) *redis.ClusterOptions {
	var addrs []string
	for _, node := range cfg.ClusterNodes {
		addrs = append(addrs, address(node.IP, node.Port))
	}
	return &redis.ClusterOptions{
		Addrs: addrs, MaxRedirects: cfg.ClusterMaxRedirections, Dialer: dialer(cfg),
		Username: cfg.Username, Password: string(cfg.Password),
		DialTimeout: milliseconds(cfg.ConnectTimeout), DialerRetries: 1,
		WriteTimeout: milliseconds(cfg.SendTimeout), ReadTimeout: milliseconds(cfg.ReadTimeout),
		ContextTimeoutEnabled: true, MaxRetries: -1, PoolSize: uncounted, MaxIdleConns: cfg.PoolSize,
		ClusterStateReloadInterval: stateAge,
		// They would ask some node for COMMAND before a command, one after the
		// other, and again if that fails: no key was served while it hung.
		DisableRoutingPolicies:   true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// Describe says which Redis cfg means, for people.
func Describe(cfg schema.Redis) string {
	switch {
	case len(cfg.ClusterNodes) > 0:
		return "redis cluster of " + strings.Join(clusterOptions(cfg).Addrs, ", ")
	case cfg.SentinelMaster != "":
		return fmt.Sprintf("redis master %s of the sentinels %s", cfg.SentinelMaster, strings.Join(sentinels(cfg), ", "))
	}
	return "redis at " + address(cfg.Host, cfg.Port)
}

func sentinels(cfg schema.Redis) []string {
	var addrs []string
	for _, node := range cfg.SentinelNodes {
		addrs = append(addrs, address(node.Host, node.Port))
	}
	return addrs
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }
