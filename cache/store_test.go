package cache

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// expectedLookup is one lookup and what it must return.
type expectedLookup struct {
	kind schema.Kind
	id   string
	want schema.Record
	err  error
}

// checkLookups compares lookups with what they must return. No error shows a property.
func checkLookups(t *testing.T, r *Records, lookups []expectedLookup) {
	t.Helper()
	for _, tt := range lookups {
		got, err := r.Record(t.Context(), tt.kind, tt.id)
		if !errors.Is(err, tt.err) || !maps.Equal(got, tt.want) {
			t.Errorf("%s %s: got %v, %v, want %v, %v", tt.kind, tt.id, got, err, tt.want, tt.err)
		}
		if err != nil && strings.Contains(err.Error(), "aaaa") {
			t.Errorf("%s %s: the error shows a property", tt.kind, tt.id)
		}
	}
}

func TestRedisAnswers(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server)
	write(t, server, prefix+"app:full", "org_code", "org_a", "user_id", "kp_1", "region", "eu", "undeclared", "x")
	write(t, server, prefix+"app:bare", "undeclared", "x")
	write(t, server, prefix+"app:empty", "org_code", "", "region", "eu")
	write(t, server, prefix+"app:edge", "region", strings.Repeat("a", 4096))
	write(t, server, prefix+"app:large", "region", strings.Repeat("a", 4097))
	write(t, server, prefix+"org:org_a", "code", "org_a", "name", "A", "is_suspended", "false", "undeclared", "x")
	write(t, server, prefix+"user:kp_1", "id", "kp_1", "email", "a@b", "undeclared", "x")
	if err := server.Client().Set(t.Context(), prefix+"app:text", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	checkLookups(t, r, []expectedLookup{
		{schema.Application, "full", schema.Record{"org_code": "org_a", "user_id": "kp_1", "region": "eu"}, nil},
		{schema.Application, "bare", schema.Record{}, nil},
		{schema.Application, "empty", schema.Record{"region": "eu"}, nil},
		{schema.Application, "edge", schema.Record{"region": strings.Repeat("a", 4096)}, nil},
		{schema.Application, "large", nil, schema.ErrInvalidRecord},
		{schema.Application, "text", nil, schema.ErrInvalidRecord},
		{schema.Application, "absent", nil, schema.ErrNoRecord}, // after "text": that didn't open the breaker
		{schema.Organization, "org_a", schema.Record{"code": "org_a", "name": "A", "is_suspended": "false"}, nil},
		{schema.User, "kp_1", schema.Record{"id": "kp_1", "email": "a@b"}, nil},
		{schema.User, "full", nil, schema.ErrNoRecord},
	})
}

// TestWholeRecords: code that chooses properties while it runs gets all that a record
// has, within the limits of a record.
func TestWholeRecords(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server, whole)
	write(t, server, prefix+"app:full", "org_code", "org_a", "undeclared", "x", "empty", "")
	write(t, server, prefix+"app:bare", "empty", "")
	write(t, server, prefix+"app:large", "region", "eu", "undeclared", strings.Repeat("a", schema.MaxPropertySize+1))
	write(t, server, prefix+"app:bytes", "region", "eu", "undeclared", "\xff")
	write(t, server, prefix+"org:org_a", "code", "org_a", "name", "A", "plan", "gold")
	for i := range schema.MaxProperties + 1 {
		write(t, server, prefix+"app:many", fmt.Sprint("p", i), "x")
	}
	if err := server.Client().Set(t.Context(), prefix+"app:text", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	checkLookups(t, r, []expectedLookup{
		{schema.Application, "full", schema.Record{"org_code": "org_a", "undeclared": "x"}, nil},
		{schema.Application, "bare", schema.Record{}, nil},
		{schema.Application, "large", nil, schema.ErrInvalidRecord},
		{schema.Application, "bytes", nil, schema.ErrInvalidRecord},
		{schema.Application, "many", nil, schema.ErrInvalidRecord},
		{schema.Application, "text", nil, schema.ErrInvalidRecord},
		{schema.Application, "absent", nil, schema.ErrNoRecord},
		{schema.Organization, "org_a", schema.Record{"code": "org_a", "name": "A"}, nil}, // only its names are declared
	})
}

// TestNoProperty: a configuration that names no property of applications still asks
// whether there is one.
func TestNoProperty(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server, func(c *schema.Config) {
		c.Organization.From, c.User.From, c.Claims = []string{"token.org"}, []string{"token.user"}, []schema.Claim{{Name: "via", Value: "x"}}
	})
	write(t, server, prefix+"app:a", "region", "eu")
	if err := server.Client().Set(t.Context(), prefix+"app:text", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := app(t, r, "a"); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v, want a record without properties", got, err)
	}
	if _, err := app(t, r, "absent"); !errors.Is(err, schema.ErrNoRecord) {
		t.Errorf("got %v, want %v", err, schema.ErrNoRecord)
	}
	if _, err := app(t, r, "text"); !errors.Is(err, schema.ErrInvalidRecord) {
		t.Errorf("got %v, want %v", err, schema.ErrInvalidRecord)
	}
}

// TestTenantsDontMix: the same client id under two prefixes, and in two
// databases.
func TestTenantsDontMix(t *testing.T) {
	server := redistest.Start(t)
	write(t, server, "one:app:a", "region", "eu")
	write(t, server, "two:app:a", "region", "us")
	under := func(prefix string) option { return func(c *schema.Config) { c.Prefix = prefix } }
	wantRegion(t, lookups(t, server, under("one:")), "a", "eu")
	wantRegion(t, lookups(t, server, under("two:")), "a", "us")
	wantRegion(t, lookups(t, server, under("one:"), inDatabase1), "a", "none")
}

func TestCount(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server, func(c *schema.Config) { c.Prefix = "a*[b]?:" })
	for i := range 30 {
		write(t, server, fmt.Sprintf("a*[b]?:app:%d", i), "region", "eu")
	}
	write(t, server, "axb?:app:0", "region", "eu") // matches the prefix as a pattern
	for limit, want := range map[int]int{1000: 30, 10: 10} {
		if n, err := r.Count(t.Context(), limit); err != nil || n != want {
			t.Errorf("Count(%d) = %d, %v, want %d", limit, n, err, want)
		}
	}
}

// TestDownAtStart: only lookups need Redis.
func TestDownAtStart(t *testing.T) {
	server := redistest.Start(t)
	server.Stop()
	r := lookups(t, server)
	if _, err := app(t, r, "a"); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, schema.ErrUnavailable)
	}
	server.Restart()
	write(t, server, prefix+"app:a", "region", "eu")
	serves(t, r, "a", "eu")
}

// TestSilenceIsMetOnce: a lookup that isn't answered in time doesn't try again
// and wait once more, because the handler could continue with a stale record.
func TestSilenceIsMetOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int32 // every try has a connection of its own
	var server sync.WaitGroup
	server.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			server.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	r := New(configAt(l.Addr().(*net.TCPAddr).Port, timeout(50)), nil)
	if _, err := app(t, r, "a"); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, schema.ErrUnavailable)
	}
	if err := errors.Join(r.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	server.Wait()
	if n := accepted.Load(); n > 1 {
		t.Errorf("got %d tries, want 1", n)
	}
}

// TestCutReply: a reply that ends anywhere is either fetched again or no answer,
// and never a shorter one. The next lookup isn't answered with its rest.
func TestCutReply(t *testing.T) {
	t.Parallel()
	const values = 3 * len("$3\r\na/1\r\n")
	for name, tt := range map[string]struct {
		option option
		reply  int // its bytes
	}{
		"named": {func(*schema.Config) {}, len("*3\r\n") + values},
		"whole": {whole, len("*6\r\n") + len("$6\r\nregion\r\n") + len("$8\r\norg_code\r\n") + len("$7\r\nuser_id\r\n") + values},
	} {
		t.Run(name, func(t *testing.T) { cutReplies(t, tt.option, tt.reply) })
	}
}

func cutReplies(t *testing.T, change option, reply int) {
	t.Helper()
	t.Parallel()
	server := redistest.Start(t, reader...)
	ids := []string{"a", "b"}
	for _, id := range ids {
		write(t, server, prefix+"app:"+id, "region", id+"/1", "org_code", id+"/1", "user_id", id+"/1")
	}
	for n := range reply + 2 {
		r, proxy := throughProxy(t, server, change)
		skip := skipping(r)
		all := func(id string) error {
			got, err := app(t, r, id)
			for _, name := range []string{"region", "org_code", "user_id"} {
				if err == nil && got[name] != id+"/1" {
					t.Errorf("cut after %d bytes: %s is %v", n, id, got)
				}
			}
			return err
		}
		if err := all("a"); err != nil {
			t.Fatal(err)
		}
		proxy.CutReply(n)
		var callers sync.WaitGroup
		for i := range 4 {
			callers.Go(func() {
				if err := all(ids[i%2]); err != nil && !errors.Is(err, schema.ErrUnavailable) {
					t.Errorf("cut after %d bytes: %v", n, err)
				}
			})
		}
		callers.Wait()
		skip(retryInterval)
		for _, id := range ids {
			if err := all(id); err != nil {
				t.Errorf("after a cut after %d bytes: %v", n, err)
			}
		}
		closed(t, r)
		await.True(t, "end of the connections", func() bool { return proxy.Open() == 0 })
	}
}
