package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// store reads records from Redis.
type store struct {
	client redis.UniversalClient
	owners *connect.Owners
}

func newStore(cfg schema.Redis) *store {
	client, owners := connect.OpenWithOwners(cfg)
	return &store{client: client, owners: owners}
}

// fetch reads fields of the record at key. The error wraps schema.ErrNoRecord,
// schema.ErrInvalidRecord or schema.ErrUnavailable.
func (s *store) fetch(ctx context.Context, key string, fields []string) (schema.Record, error) {
	find := s.find
	if slices.Contains(fields, schema.AllProperties) {
		find = s.whole
	}
	return located(s, func() (schema.Record, error) { return find(ctx, key, fields) })
}

// marks reads the hash at key. Its errors are those of fetch, but no hash is none.
func (s *store) marks(ctx context.Context, key string) (schema.Record, error) {
	return located(s, func() (schema.Record, error) { return s.hash(ctx, key) })
}

// readAnswer reads the text at key, nil if there is none. GETRANGE reads no more than
// the largest answer and a byte, whatever is there.
func (s *store) readAnswer(ctx context.Context, key string) ([]byte, error) {
	text, err := located(s, func() (string, error) {
		text, err := retryDead(s.client, func() (string, error) { return s.client.GetRange(ctx, key, 0, maxSharedAnswer).Result() })
		return text, answerError(err)
	})
	switch {
	case err != nil || text == "":
		return nil, err
	case len(text) > maxSharedAnswer:
		return nil, fmt.Errorf("%w: more than %d bytes", schema.ErrInvalidRecord, maxSharedAnswer)
	}
	return []byte(text), nil
}

// writeAnswer writes the text at key by PSETEX, which never leaves one that Redis keeps
// forever.
func (s *store) writeAnswer(ctx context.Context, key string, value []byte, life time.Duration) error {
	_, err := located(s, func() (any, error) {
		answer, err := retryDead(s.client, func() (any, error) { return s.client.Do(ctx, "psetex", key, life.Milliseconds(), value).Result() })
		return answer, answerError(err)
	})
	return err
}

// answerError says why a shared answer can't be read or written, without its key.
func answerError(err error) error {
	switch {
	case err == nil:
		return nil
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return fmt.Errorf("%w: not a text", schema.ErrInvalidRecord)
	}
	return fmt.Errorf("%w: %w", schema.ErrUnavailable, connect.WithoutArguments(err))
}

// located asks with a view of the cluster that is young, and renews the view if
// Redis didn't answer.
func located[T any](s *store, ask func() (T, error)) (T, error) {
	s.owners.Reload(false)
	answer, err := ask()
	if errors.Is(err, schema.ErrUnavailable) {
		s.owners.Reload(true)
	}
	return answer, err
}

// node returns the address of the server that has key, "" if it isn't known.
func (s *store) node(key string) string { return s.owners.Of(key) }

func (s *store) find(ctx context.Context, key string, fields []string) (schema.Record, error) {
	record, err := s.read(ctx, key, fields)
	if err != nil || len(record) > 0 {
		return record, err
	}
	// HMGET answers alike for a hash without these fields and for no hash.
	n, err := retryDead(s.client, func() (int64, error) { return s.client.Exists(ctx, key).Result() })
	switch {
	case err != nil:
		return nil, connect.RecordError(key, err)
	case n == 0:
		return nil, fmt.Errorf("%s: %w", key, schema.ErrNoRecord)
	}
	return s.read(ctx, key, fields) // it may have been written meanwhile
}

func (s *store) read(ctx context.Context, key string, fields []string) (schema.Record, error) {
	asked := fields
	if len(asked) == 0 {
		asked = []string{schema.IsSuspended} // HMGET needs a name, and says whether the record is a hash
	}
	values, err := retryDead(s.client, func() ([]any, error) { return s.client.HMGet(ctx, key, asked...).Result() })
	if err != nil {
		return nil, connect.RecordError(key, err)
	}
	record := schema.Record{}
	for i := range fields {
		text, ok := values[i].(string)
		if len(text) > schema.MaxPropertySize {
			return nil, fmt.Errorf("%s: %s has more than %d bytes: %w", key, fields[i], schema.MaxPropertySize, schema.ErrInvalidRecord)
		}
		if ok && text != "" {
			record[fields[i]] = text
		}
	}
	return record, nil
}

// whole reads the record at key with all of its properties. Redis stores no empty hash.
func (s *store) whole(ctx context.Context, key string, _ []string) (schema.Record, error) {
	values, err := s.hash(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case len(values) == 0:
		return nil, fmt.Errorf("%s: %w", key, schema.ErrNoRecord)
	}
	if err := values.CheckSize(); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	maps.DeleteFunc(values, func(_, value string) bool { return value == "" })
	return values, nil
}

func (s *store) hash(ctx context.Context, key string) (schema.Record, error) {
	values, err := retryDead(s.client, func() (map[string]string, error) { return s.client.HGetAll(ctx, key).Result() })
	if err != nil {
		return nil, connect.RecordError(key, err)
	}
	return values, nil
}

// retryDead repeats ask while it meets connections that died in the pool, as all
// do when Redis restarts: over TLS the driver doesn't notice that beforehand.
func retryDead[T any](client redis.UniversalClient, ask func() (T, error)) (T, error) {
	answer, err := ask()
	if !connect.Lost(err) {
		return answer, err
	}
	for range client.PoolStats().IdleConns + 1 {
		if answer, err = ask(); !connect.Lost(err) {
			break
		}
	}
	return answer, err
}

// count returns how many application records there are, up to limit.
func (s *store) count(ctx context.Context, prefix string, limit int) (int, error) {
	n := 0
	err := connect.Scan(ctx, s.client, schema.Application.Key(connect.Literal(prefix), "*"), func(keys []string) bool {
		n += len(keys)
		return n < limit
	})
	return min(n, limit), err
}

func (s *store) close() error {
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}
