package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// tampered are ways to change the answer at key. other is the key of the answer to
// another request, old is what is at key.
var tampered = map[string]func(ctx context.Context, c *redis.Client, key, other, old string) error{
	"deleted": func(ctx context.Context, c *redis.Client, key, _, _ string) error { return c.Del(ctx, key).Err() },
	"another request's answer": func(ctx context.Context, c *redis.Client, key, other, _ string) error {
		return c.Copy(ctx, other, key, 0, true).Err()
	},
	"one byte changed": func(ctx context.Context, c *redis.Client, key, _, old string) error {
		return c.SetRange(ctx, key, int64(len(old)/2), string([]byte{old[len(old)/2] ^ 1})).Err()
	},
	"cut": func(ctx context.Context, c *redis.Client, key, _, old string) error {
		return c.Set(ctx, key, old[:len(old)-1], 0).Err()
	},
	"longer": func(ctx context.Context, c *redis.Client, key, _, _ string) error {
		return c.Append(ctx, key, "x").Err()
	},
	"invented": func(ctx context.Context, c *redis.Client, key, _, _ string) error {
		return c.Set(ctx, key, `{"all":"","client":"","held":{}}`, 0).Err()
	},
	"huge": func(ctx context.Context, c *redis.Client, key, _, _ string) error {
		return c.Set(ctx, key, strings.Repeat("x", 8<<20), 0).Err()
	},
	"a hash": func(ctx context.Context, c *redis.Client, key, _, _ string) error {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error { p.Del(ctx, key); p.HSet(ctx, key, "a", "b"); return nil })
		return err
	},
}

// TestReuseRedisWriter: whoever can write to Redis can make gateways ask the provider.
// Nobody can give a client another answer than a gateway issued for its request, nor
// one from before a purge.
func TestReuseRedisWriter(t *testing.T) {
	w := buildSharing(t)
	w.startSharing()
	second := w.beside()
	ctx, c := context.Background(), w.redis.Client()
	var known []string
	shared := func(scope string) (key string) { // by the first gateway alone
		w.Helper()
		w.enriched(w.ask(form("scope", scope)))
		now := w.sharedAnswers(len(known) + 1)
		for _, key = range now {
			if !slices.Contains(known, key) {
				break
			}
		}
		known = now
		return key
	}
	asks := func(what, scope string) {
		w.Helper()
		w.expectCalls(1, what, func() {
			if got := fmt.Sprint(w.enriched(second.ask(form("scope", scope)))["scp"]); got != "["+scope+"]" {
				t.Errorf("%s: got a token for the scope %s, want %s", what, got, scope)
			}
		})
	}
	other := shared("other")
	w.expectCalls(0, "as it was shared", func() { w.enriched(second.ask(form("scope", "other"))) })
	for what, tamper := range tampered {
		scope := strings.ReplaceAll(what, " ", "-")
		key := shared(scope)
		if err := tamper(ctx, c, key, other, c.Get(ctx, key).Val()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		asks(what, scope)
		known = w.sharedAnswers(len(known))
	}

	key := shared("before-a-purge")
	old, last := c.Get(ctx, key).Val(), second.ask(form("scope", "other"))
	w.purge("--all")
	w.eventually(func() error {
		if second.ask(form("scope", "other")).token() == last.token() {
			return fmt.Errorf("%w: the purge", errNotYet)
		}
		return nil
	})
	if err := c.Set(ctx, key, old, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	asks("put back after a purge", "before-a-purge")
}
