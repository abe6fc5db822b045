package records

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// Timestamp is a time by the clock of Redis, in µs since 1970. All writers use
// that clock, so their own clocks don't matter.
type Timestamp int64

// Now returns the current time: in a cluster, where each master has its own
// clock, the earliest of them. The error wraps schema.ErrUnavailable.
func (s *Store) Now(ctx context.Context) (Timestamp, error) {
	var mu sync.Mutex // the masters are asked in parallel
	var earliest Timestamp
	ask := func(ctx context.Context, server redis.Cmdable) error {
		now, err := server.Time(ctx).Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if t := Timestamp(now.UnixMicro()); earliest == 0 || t < earliest {
			earliest = t
		}
		return nil
	}
	var err error
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return ask(ctx, master) })
	} else {
		err = ask(ctx, s.client)
	}
	if err != nil {
		return 0, fmt.Errorf("ask Redis for the time: %w: %w", schema.ErrUnavailable, connect.WithoutArguments(err))
	}
	return earliest, nil
}

// timestampKey returns the key that says when the record at key was last
// written. The script needs it in the record's slot of a cluster. Where braces
// prevent that, the error wraps schema.ErrInvalidRecord.
func (s *Store) timestampKey(key string) (string, error) {
	tag := hashTag(key)
	timestamp := s.prefix + "written:{" + key + "}"
	if s.isCluster() && hashTag(timestamp) != tag {
		timestamp = s.prefix + "written:{" + tag + "}" + key
		if hashTag(timestamp) != tag {
			return "", fmt.Errorf("%s: %w: a cluster can't keep it because of its braces", key, schema.ErrInvalidRecord)
		}
	}
	return timestamp, nil
}

// hashTag returns the part of key that decides its slot (Redis cluster
// specification, "Hash tags").
func hashTag(key string) string {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}

func (s *Store) isCluster() bool {
	_, ok := s.client.(*redis.ClusterClient)
	return ok
}
