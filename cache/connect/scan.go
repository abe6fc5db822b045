package connect

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// scanCount is how many keys a server looks at for one SCAN.
const scanCount = 1000

// Scan calls page with the keys that match, on every master of a cluster, until
// page returns false. Calls of page don't overlap. A key can come more than once.
func Scan(ctx context.Context, client redis.UniversalClient, match string, page func(keys []string) bool) error {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return scanServer(ctx, client, match, page)
	}
	var mu sync.Mutex // the driver calls back from one goroutine per master
	more := true
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		return scanServer(ctx, master, match, func(keys []string) bool {
			mu.Lock()
			defer mu.Unlock()
			more = more && page(keys)
			return more
		})
	})
}

func scanServer(ctx context.Context, server redis.Cmdable, match string, page func([]string) bool) error {
	for cursor := uint64(0); ; {
		keys, next, err := server.Scan(ctx, cursor, match, scanCount).Result()
		if err != nil {
			return fmt.Errorf("scan %s: %w", match, WithoutArguments(err))
		}
		if len(keys) > 0 && !page(keys) || next == 0 {
			return nil
		}
		cursor = next
	}
}

var pattern = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// Literal returns a pattern that matches text only.
func Literal(text string) string { return pattern.Replace(text) }
