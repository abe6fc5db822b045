package cache

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// TestMain runs three tests at once by default: they wait for servers more than
// they compute.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "3"); err != nil { // -parallel still counts
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const prefix = "m2m:example.kinde.com:"

// reader is the user of the lookups under test. It has no right too many, so a
// fault doesn't need one that the documentation doesn't give. Its name marks the
// connections that aren't the test's own.
var reader = []string{"--user", "m2m", "on", ">p4ssw0rd", "~m2m:*", "resetchannels", "-@all", "+hmget", "+hgetall", "+exists", "+select", "+scan"}

// tracking is the reader with what cache.invalidation needs.
var tracking = slices.Concat(reader, []string{"+client|tracking", "+ping"})

// An option changes the configuration of lookups.
type option = func(*schema.Config)

func asUser(name, password string) option {
	return func(c *schema.Config) { c.Redis.Username, c.Redis.Password = name, schema.Secret(password) }
}

func asReader(c *schema.Config) { asUser("m2m", "p4ssw0rd")(c) }

func timeout(ms int) option {
	return func(c *schema.Config) { c.Redis.ConnectTimeout, c.Redis.SendTimeout, c.Redis.ReadTimeout = ms, ms, ms }
}

func pool(n int) option { return func(c *schema.Config) { c.Redis.PoolSize = n } }

// invalidation makes a long ttl harmless: Redis reports changes.
func withInvalidation(c *schema.Config) {
	c.Cache.TTL, c.Cache.NegativeTTL, c.Cache.StaleTTL, c.Cache.Invalidation = 3600, 3600, 300, true
}

// whole has code that reads whole records of applications.
func whole(c *schema.Config) { c.Claims = append(c.Claims, schema.Claim{From: "application"}) }

// configAt is a configuration for a server on port, whose answers are not cached
// unless an option changes that.
func configAt(port int, options ...option) *schema.Config {
	cfg := &schema.Config{
		Prefix: prefix, Redis: schema.DefaultRedis(), Cache: schema.Cache{MaxEntries: 10_000, MaxBytes: 1 << 26},
		Organization: schema.Relation{From: []string{"application.org_code"}}, User: schema.Relation{From: []string{"application.user_id"}},
		Claims: []schema.Claim{
			{Name: "name", From: "organization.name"}, {Name: "region", From: "application.region"}, {Name: "email", From: "user.email"},
		},
	}
	cfg.Redis.Port = port
	timeout(1000)(cfg)
	for _, change := range options {
		change(cfg)
	}
	return cfg
}

// open returns lookups that end with the test.
func open(t *testing.T, cfg *schema.Config) *Records {
	t.Helper()
	r := New(cfg, nil)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func lookups(t *testing.T, server *redistest.Server, options ...option) *Records {
	t.Helper()
	return open(t, configAt(server.Port(), options...))
}

// throughProxy are the reader's lookups through a proxy in front of server.
func throughProxy(t *testing.T, server *redistest.Server, options ...option) (*Records, *redistest.Proxy) {
	t.Helper()
	proxy := redistest.StartProxy(t, server.Addr())
	return open(t, configAt(proxy.Port(), append(options, asReader)...)), proxy
}

func write(t *testing.T, server *redistest.Server, key string, properties ...string) {
	t.Helper()
	if err := server.Client().HSet(t.Context(), key, properties).Err(); err != nil {
		t.Fatal(err)
	}
}

// app looks the application id up.
func app(t *testing.T, r *Records, id string) (schema.Record, error) {
	t.Helper()
	return r.Record(t.Context(), schema.Application, id)
}

// region is the region of the application id, or why r has none.
func region(t *testing.T, r *Records, id string) string {
	t.Helper()
	record, err := app(t, r, id)
	switch {
	case errors.Is(err, schema.ErrNoRecord):
		return "none"
	case errors.Is(err, schema.ErrInvalidRecord):
		return "invalid"
	case err != nil:
		return err.Error()
	}
	return record["region"]
}

func wantRegion(t *testing.T, r *Records, id, want string) {
	t.Helper()
	if got := region(t, r, id); got != want {
		t.Errorf("%s: got region %s, want %s", id, got, want)
	}
}

// serves waits until r serves the region want, which it must at once and not
// after ttl.
func serves(t *testing.T, r *Records, id, want string) {
	t.Helper()
	await.True(t, fmt.Sprintf("%s of %s", want, id), func() bool { return region(t, r, id) == want })
}

// skipping lets the test put the clock of r forward, which ends a pause without
// waiting for it. It is for lookups that nobody has used yet.
func skipping(r *Records) (skip func(time.Duration)) {
	var ahead atomic.Int64
	r.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return func(d time.Duration) { ahead.Add(int64(d)) }
}

// closed closes r and waits until its connections are gone.
func closed(t *testing.T, r *Records, servers ...*redistest.Server) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, server := range servers {
		await.Nil(t, func() error {
			list, err := server.Client().ClientList(context.WithoutCancel(t.Context())).Result()
			if n := strings.Count(list, " user=m2m "); n > 0 {
				err = fmt.Errorf("the reader has %d connections", n)
			}
			return err
		})
	}
}
