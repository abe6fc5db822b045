package connect

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
)

// scanCount is how many keys a server looks at for one SCAN.
const scanCount = 1000

// Scan calls page with the keys that match, on every master of a cluster, until
// page returns false. Calls of page don't overlap. A key can come more than once. The
// error wraps schema.ErrNotListed if the server, or the user, lacks SCAN.
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
			if lacked(err) {
				return fmt.Errorf("%w: %w", schema.ErrNotListed, WithoutArguments(err))
			}
			return fmt.Errorf("scan %s: %w", match, WithoutArguments(err))
		}
		if len(keys) > 0 && !page(keys) || next == 0 {
			return nil
		}
		cursor = next
	}
}

// code is that of an error, such as LOADING. Redis writes ERR for none of its own,
// a proxy may use words.
var code = regexp.MustCompile(`^[A-Z]+( |$)`)

// lacked reports whether err says that the server, or the user, lacks a command. A
// proxy may close the connection for that. Any other code is the server's state.
func lacked(err error) bool {
	if Lost(err) {
		return true
	}
	answer, ok := errors.AsType[redis.Error](err)
	return ok && slices.Contains([]string{"", "ERR ", "NOPERM "}, code.FindString(answer.Error()))
}

var pattern = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// Literal returns a pattern that matches text only.
func Literal(text string) string { return pattern.Replace(text) }
