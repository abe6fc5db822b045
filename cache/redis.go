package cache

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"m2m-token-enricher/schema"
)

func init() { redis.SetLogger(silence{}) }

// silence drops the driver's own log: what matters comes back as an error.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// store reads records from Redis.
type store struct {
	client     *redis.Client
	prefix     string
	properties map[schema.Kind][]string // the fields that are asked for
}

func newStore(cfg *schema.Config) *store {
	timeout := time.Duration(cfg.Redis.Timeout) * time.Millisecond
	opts := &redis.Options{
		Addr:                  net.JoinHostPort(cfg.Redis.Host, strconv.Itoa(cfg.Redis.Port)),
		Username:              cfg.Redis.Username,
		Password:              string(cfg.Redis.Password),
		DB:                    cfg.Redis.Database,
		DialTimeout:           timeout,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           timeout,
		ContextTimeoutEnabled: true, // or the handler's deadline wouldn't count
		MaxRetries:            -1,   // they would repeat timeouts, but not what alive repeats
		DialerRetries:         1,
		DisableIdentity:       true, // CLIENT SETINFO needs rights that reading doesn't
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
	if cfg.Redis.SSL {
		opts.TLSConfig = &tls.Config{
			ServerName:         cmp.Or(cfg.Redis.ServerName, cfg.Redis.Host),
			InsecureSkipVerify: !cfg.Redis.SSLVerify,
			MinVersion:         tls.VersionTLS12,
		}
	}
	return &store{client: redis.NewClient(opts), prefix: cfg.Prefix, properties: declared(cfg)}
}

// declared lists the properties that cfg names, for each kind, and those that
// every decision needs.
func declared(cfg *schema.Config) map[schema.Kind][]string {
	properties := map[schema.Kind][]string{
		schema.Organization: {schema.OrganizationCode, schema.IsSuspended},
		schema.User:         {schema.UserID},
	}
	add := func(from string) {
		kind, key := schema.Source(from)
		for _, known := range properties[kind] {
			if known == key {
				return
			}
		}
		properties[kind] = append(properties[kind], key)
	}
	add(cfg.Organization.From)
	add(cfg.User.From)
	for _, claim := range cfg.Claims {
		if claim.From != "" {
			add(claim.From)
		}
	}
	return properties
}

// fetch reads the record of kind that id names. The error wraps
// schema.ErrNoRecord, schema.ErrInvalidRecord or schema.ErrUnavailable.
func (s *store) fetch(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	key, fields := kind.Key(s.prefix, id), s.properties[kind]
	record, err := s.read(ctx, key, fields)
	if err != nil || len(record) > 0 {
		return record, err
	}
	// HMGET answers alike for a hash without these fields and for no hash.
	n, err := alive(s.client, func() (int64, error) { return s.client.Exists(ctx, key).Result() })
	switch {
	case err != nil:
		return nil, asRecordError(key, err)
	case n == 0:
		return nil, fmt.Errorf("%s: %w", key, schema.ErrNoRecord)
	}
	return s.read(ctx, key, fields) // it may have been written in between
}

func (s *store) read(ctx context.Context, key string, fields []string) (schema.Record, error) {
	values, err := alive(s.client, func() ([]any, error) { return s.client.HMGet(ctx, key, fields...).Result() })
	if err != nil {
		return nil, asRecordError(key, err)
	}
	record := schema.Record{}
	for i, v := range values {
		text, ok := v.(string)
		if len(text) > schema.MaxPropertySize {
			return nil, fmt.Errorf("%s: %s has more than %d bytes: %w", key, fields[i], schema.MaxPropertySize, schema.ErrInvalidRecord)
		}
		if ok && text != "" {
			record[fields[i]] = text
		}
	}
	return record, nil
}

// alive asks until it isn't by a connection that died while it was idle, as all
// do when Redis restarts: over TLS the driver doesn't see that beforehand.
func alive[T any](client *redis.Client, ask func() (T, error)) (T, error) {
	for range client.PoolStats().IdleConns + 1 {
		if answer, err := ask(); !died(err) {
			return answer, err
		}
	}
	return ask()
}

func died(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// asRecordError keeps the driver's words at the edge.
func asRecordError(key string, err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return fmt.Errorf("%s is not a hash: %w", key, schema.ErrInvalidRecord)
	}
	return fmt.Errorf("%s: %w: %w", key, schema.ErrUnavailable, withoutArguments(err))
}

// withoutArguments drops what a server repeats when it doesn't know a command:
// one argument of AUTH is the password.
func withoutArguments(err error) error {
	if text, _, repeats := strings.Cut(err.Error(), ", with args"); repeats {
		return errors.New(text)
	}
	return err
}

// count returns how many application records there are, up to limit.
func (s *store) count(ctx context.Context, limit int) (n int, err error) {
	escape := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)
	match := schema.Application.Key(escape.Replace(s.prefix), "*")
	for cursor := uint64(0); n < limit; {
		var keys []string
		keys, cursor, err = s.client.Scan(ctx, cursor, match, 1000).Result()
		if err != nil {
			return n, fmt.Errorf("scan %s: %w", match, withoutArguments(err))
		}
		n += len(keys)
		if cursor == 0 {
			break
		}
	}
	return min(n, limit), nil
}

func (s *store) close() error {
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}
