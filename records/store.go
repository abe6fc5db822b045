// Package records reads and writes the records in Redis for the commands and
// the packages in sync. The plugin itself only reads, through package cache.
package records

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// Store is the records below one prefix. Safe for concurrent use.
type Store struct {
	client redis.UniversalClient
	where  string
	prefix string
	names  schema.Names

	oneServer atomic.Bool // Redis has said that it is one server
}

// Entry is one record with its identifier, as import reads it and export writes it.
type Entry struct {
	ID         string        `json:"id"`
	Properties schema.Record `json:"properties"`
}

// Open returns the records below prefix, in which names have a meaning. It doesn't
// connect.
func Open(cfg schema.Redis, prefix string, names schema.Names) *Store {
	return &Store{client: connect.Open(cfg), where: connect.Describe(cfg), prefix: prefix, names: names}
}

// String names the prefix and Redis.
func (s *Store) String() string { return s.prefix + " in " + s.where }

// Ping returns an error unless Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.Exists(ctx, schema.Application.Key(s.prefix, "")).Err(); err != nil { // every writer has the right to it
		return connect.RecordError(s.prefix, err)
	}
	return nil
}

// Close closes the connections.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}

// Get returns the record of id with all of its properties. The error wraps
// schema.ErrNoRecord, schema.ErrInvalidRecord or schema.ErrUnavailable.
func (s *Store) Get(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	read, err := s.Read(ctx, kind, []string{id})
	if err != nil {
		return nil, err
	}
	if len(read[0]) == 0 {
		return nil, fmt.Errorf("%s: %w", kind.Key(s.prefix, id), schema.ErrNoRecord)
	}
	return read[0], nil
}

// Read returns the records of ids in that order. One that doesn't exist is
// empty. The error wraps schema.ErrInvalidRecord or schema.ErrUnavailable.
func (s *Store) Read(ctx context.Context, kind schema.Kind, ids []string) ([]schema.Record, error) {
	read, errs := s.read(ctx, kind, ids)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return read, nil
}

// read is Read with an error for each record.
func (s *Store) read(ctx context.Context, kind schema.Kind, ids []string) ([]schema.Record, []error) {
	pipe := s.client.Pipeline()
	answers := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.HGetAll(ctx, kind.Key(s.prefix, id))
	}
	exec(ctx, pipe)
	read, errs := make([]schema.Record, len(ids)), make([]error, len(ids))
	for i, answer := range answers {
		read[i] = answer.Val()
		if err := answer.Err(); err != nil {
			errs[i] = connect.RecordError(kind.Key(s.prefix, ids[i]), err)
		}
	}
	return read, errs
}

// IDs calls page with the identifiers that match a Redis pattern, until page
// returns false. Calls don't overlap. An identifier can come more than once.
func (s *Store) IDs(ctx context.Context, kind schema.Kind, match string, page func(ids []string) bool) error {
	start := kind.Key(s.prefix, "")
	err := connect.Scan(ctx, s.client, connect.Literal(start)+match, func(keys []string) bool {
		ids := make([]string, len(keys))
		for i, key := range keys {
			ids[i] = strings.TrimPrefix(key, start)
		}
		return page(ids)
	})
	if err != nil {
		return fmt.Errorf("%w: %w", schema.ErrUnavailable, err) // err names the pattern
	}
	return nil
}

// exec runs the commands of pipe. Each has its own error afterwards. The driver
// sets none if it couldn't connect, such as with a wrong password. Then nothing
// was sent, and that error becomes the error of each.
func exec(ctx context.Context, pipe redis.Pipeliner) {
	if pipe.Len() == 0 {
		return
	}
	done, err := pipe.Exec(ctx)
	if err == nil || slices.ContainsFunc(done, func(c redis.Cmder) bool { return c.Err() != nil }) {
		return
	}
	for _, command := range done {
		command.SetErr(err)
	}
}
