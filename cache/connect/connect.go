// Package connect makes clients of Redis: to one server, to the master that
// Sentinel names, or to a cluster.
package connect

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"m2m-token-enricher/schema"
)

func init() { redis.SetLogger(silence{}) }

// silence drops the driver's own log: what matters comes back as an error.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// unlimited is a pool size that is hardly ever reached. Once as many dials have
// failed as a pool has places, the driver answers with the last failure, and it
// does so for up to a second after Redis is back.
const unlimited = 1 << 13

// Budget is how long one command may take: to connect, to send and to receive.
func Budget(cfg schema.Redis) time.Duration {
	return milliseconds(cfg.ConnectTimeout + cfg.SendTimeout + cfg.ReadTimeout)
}

// Open returns a client of the Redis that cfg describes. It doesn't connect, and
// it repeats no command by itself except those that a cluster redirects. It sets a
// connection up with AUTH and SELECT alone, if they are needed, because a Redis
// proxy may know nothing else. The caller limits how many connections there are;
// at most cfg.PoolSize are kept idle.
func Open(cfg schema.Redis) redis.UniversalClient {
	switch {
	case len(cfg.ClusterNodes) > 0:
		return openCluster(cfg, stateAge)
	case cfg.SentinelMaster != "":
		return hooked(redis.NewFailoverClient(options(cfg, sentinels(cfg)...).Failover()), plain{})
	}
	return hooked(redis.NewClient(options(cfg, address(cfg.Host, cfg.Port)).Simple()), plain{})
}

// Pushed returns a client of the one server at addr, with the account, timeouts
// and TLS settings of cfg. It asks for RESP3, in which a server can push. onConnect
// is called for each new connection.
func Pushed(cfg schema.Redis, addr string, onConnect func(context.Context, *redis.Conn) error) *redis.Client {
	opts := options(cfg, addr)
	opts.OnConnect = onConnect
	return hooked(redis.NewClient(opts.Simple()), naming{})
}

func hooked(client *redis.Client, hook redis.Hook) *redis.Client {
	client.AddHook(hook)
	return client
}

func openCluster(cfg schema.Redis, reload time.Duration) *redis.ClusterClient {
	opts := options(cfg, clusterNodes(cfg)...).Cluster()
	opts.ClusterStateReloadInterval = reload
	// The driver would ask some node for COMMAND before a command, one request
	// after the other, and again if that fails: while it hung, no key was served.
	opts.DisableRoutingPolicies = true
	cluster := redis.NewClusterClient(opts)
	cluster.OnNewNode(func(node *redis.Client) { node.AddHook(plain{}) })
	return cluster
}

func options(cfg schema.Redis, addrs ...string) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs: addrs, MasterName: cfg.SentinelMaster, DB: cfg.Database, MaxRedirects: cfg.ClusterMaxRedirections,
		Username: cfg.Username, Password: string(cfg.Password),
		SentinelUsername: cfg.SentinelUsername, SentinelPassword: string(cfg.SentinelPassword),
		Dialer: dialer(cfg), DialTimeout: milliseconds(cfg.ConnectTimeout), DialerRetries: 1,
		WriteTimeout: milliseconds(cfg.SendTimeout), ReadTimeout: milliseconds(cfg.ReadTimeout),
		ContextTimeoutEnabled: true, // otherwise the handler's deadline wouldn't count
		MaxRetries:            -1,   // they would repeat timeouts
		PoolSize:              unlimited, MaxIdleConns: cfg.PoolSize,
		DisableIdentity:          true, // CLIENT SETINFO needs rights that reading doesn't
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }
