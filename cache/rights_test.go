package cache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// abilities says which of the things that lookups do work.
type abilities struct{ record, whole, absent, database, count, tracking, moving, marks, sharing bool }

// rights are those that a topology needs, each with what doesn't work without it.
type rights map[string]func(*abilities)

var (
	noLookups  = func(a *abilities) { a.record, a.absent, a.database, a.moving = false, false, false, false }
	noReading  = func(a *abilities) { noLookups(a); a.whole, a.marks, a.sharing = false, false, false }
	noTracking = func(a *abilities) { a.tracking = false }
	noSharing  = func(a *abilities) { a.sharing = false }
	nothing    = func(a *abilities) { *a = abilities{} }

	serverRights = rights{
		"%R~m2m:*": noReading, "+hmget": noLookups,
		"+hgetall":         func(a *abilities) { a.whole, a.marks = false, false },
		"+exists":          func(a *abilities) { a.absent, a.database = false, false },
		"+select":          func(a *abilities) { a.database = false },
		"+scan":            func(a *abilities) { a.count = false },
		"+client|tracking": noTracking, "+ping": noTracking,
	}
	// sharingRights are those that reuse.shared needs in addition.
	sharingRights = rights{"%W~m2m:*reuse:answer:*": noSharing, "+getrange": noSharing, "+psetex": noSharing}
	// clusterRights are those that a cluster, which has no databases, needs in
	// addition.
	clusterRights = rights{"+cluster|slots": nothing, "+asking": func(a *abilities) { a.moving = false }}
	// sentinelRights are those of the user that asks the sentinels.
	sentinelRights = rights{"+sentinel|get-master-addr-by-name": nothing}
)

// each takes one right after the other from the user m2m, and none at last, and
// checks what works then.
func (r rights) each(t *testing.T, servers []*redistest.Server, try func() abilities) {
	t.Helper()
	for _, without := range append(slices.Sorted(maps.Keys(r)), "") {
		want := r.grant(t, servers, without)
		if got := try(); got != want {
			t.Errorf("without %q: got %+v, want %+v", without, got, want)
		}
	}
}

// grant gives m2m all rights except one, and returns what works with them.
func (r rights) grant(t *testing.T, servers []*redistest.Server, without string) abilities {
	t.Helper()
	words := []any{"ACL", "SETUSER", "m2m", "reset", "on", ">p4ssw0rd", "-@all"}
	works := abilities{true, true, true, true, true, true, true, true, true}
	for right, breaks := range r {
		if right == without {
			breaks(&works)
		} else {
			words = append(words, right)
		}
	}
	for _, server := range servers {
		if err := server.Client().Do(t.Context(), words...).Err(); err != nil {
			t.Fatalf("%v: %v", words, err)
		}
	}
	return works
}

// inDatabase1 has the lookups use another database, which is empty.
func inDatabase1(c *schema.Config) { c.Redis.Database = 1 }

// tryAll uses fresh lookups for all that they do; other is a configuration whose
// Redis is empty.
func tryAll(t *testing.T, cfg, other *schema.Config) (works abilities) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r := open(t, cfg)
	skip := skipping(r)
	got, err := r.Record(ctx, schema.Application, "a")
	works.record = err == nil && got["region"] == "eu"
	works.moving = works.record // only a cluster moves slots
	asWhole := *cfg
	whole(&asWhole)
	got, err = open(t, &asWhole).Record(ctx, schema.Application, "a")
	works.whole = err == nil && got["region"] == "eu"
	skip(retryInterval)
	_, err = r.Record(ctx, schema.Application, "absent")
	works.absent = errors.Is(err, schema.ErrNoRecord)
	_, err = open(t, other).Record(ctx, schema.Application, "a")
	works.database = errors.Is(err, schema.ErrNoRecord)
	n, err := r.Count(ctx, 10)
	works.count = err == nil && n == 1
	works.tracking = tracks(t, cfg)
	_, err = open(t, cfg).PurgeMarks(ctx)
	works.marks = err == nil
	works.sharing = sharesAnswers(ctx, open(t, cfg).store)
	return works
}

// sharesAnswers reports whether answers can be written and read.
func sharesAnswers(ctx context.Context, store source) bool {
	key := schema.SharedAnswerKey(prefix, "a")
	writeErr := store.writeAnswer(ctx, key, []byte("x"), time.Hour)
	got, readErr := store.readAnswer(ctx, key)
	return writeErr == nil && readErr == nil && string(got) == "x"
}

// with returns the rights of both.
func (r rights) with(others rights) rights {
	both := maps.Clone(r)
	maps.Copy(both, others)
	return both
}

// tracks reports whether every master reports changes.
func tracks(t *testing.T, cfg *schema.Config) bool {
	t.Helper()
	tr := newTracker(cfg, newTier(10, 1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); tr.run(ctx) }()
	defer func() { cancel(); <-ended }()
	var trouble error
	await.True(t, "result of tracking", func() bool {
		trouble = tr.trouble()
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return trouble != nil || len(tr.failures) > 1
	})
	return trouble == nil
}

func TestRightsAtServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	write(t, server, prefix+"app:a", "region", "eu")
	serverRights.with(sharingRights).each(t, []*redistest.Server{server}, func() abilities {
		return tryAll(t, configAt(server.Port(), asReader), configAt(server.Port(), asReader, inDatabase1))
	})
}

// TestRightsBySentinel: the reader's rights at the servers, and those of the
// sentinels' own user.
func TestRightsBySentinel(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, 3)
	write(t, s.Master(), prefix+"app:a", "region", "eu")
	asWatcher := func(c *schema.Config) { c.Redis.SentinelUsername, c.Redis.SentinelPassword = "m2m", "p4ssw0rd" }
	try := func() abilities {
		return tryAll(t, bySentinel(s, asWatcher), bySentinel(s, asWatcher, inDatabase1))
	}
	sentinelRights.grant(t, s.Sentinels(), "")
	serverRights.with(sharingRights).each(t, s.Servers(), try)
	sentinelRights.each(t, s.Sentinels(), try)
}

func TestRightsInCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0)
	key := prefix + "app:a"
	if err := c.Client().HSet(t.Context(), key, "region", "eu").Err(); err != nil {
		t.Fatal(err)
	}
	home := c.MasterOf(key)
	away := c.Nodes()[(slices.Index(c.Nodes(), home)+1)%3]
	all := serverRights.with(clusterRights).with(sharingRights)
	delete(all, "+select")
	all.each(t, c.Nodes(), func() abilities {
		works := tryAll(t, inCluster(c), inCluster(c, func(cfg *schema.Config) { cfg.Prefix = "m2m:other:" }))
		moving := open(t, inCluster(c))
		finish := c.StartReshard(c.Slot(key), away)
		got, err := app(t, moving, "a")
		works.moving = err == nil && got["region"] == "eu"
		finish()
		c.Reshard(c.Slot(key), home)
		return works
	})
}

// TestRightsOnThePage: docs/redis.md gives the reader what is needed for
// everything, and nothing else. Only reuse.shared lets the reader write.
func TestRightsOnThePage(t *testing.T) {
	base := serverRights.with(clusterRights)
	for _, tt := range []struct {
		given  []string
		needed rights
	}{{redistest.ACL(t, redistest.Reader), base}, {redistest.SharingACL(t), base.with(sharingRights)}} {
		needed := slices.Sorted(maps.Keys(tt.needed))
		given := slices.DeleteFunc(tt.given, func(word string) bool { return word[0] != '+' && word[0] != '%' })
		slices.Sort(given)
		if !slices.Equal(given, needed) {
			t.Errorf("the page gives %v, want %v", given, needed)
		}
	}
}

// TestSharingWritesAnswersOnly: with all rights on the page, a gateway can write
// nothing but shared answers, and none that stays.
func TestSharingWritesAnswersOnly(t *testing.T) {
	server := redistest.Start(t, append([]string{"--user"}, redistest.SharingACL(t)...)...)
	gateway := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: redistest.Reader, Password: redistest.ReaderPassword})
	defer gateway.Close()
	answer, mark := schema.SharedAnswerKey(prefix, "a"), schema.PurgeMarksKey(prefix)
	for _, command := range [][]any{
		{"psetex", prefix + "app:a", 1000, "x"}, {"psetex", mark, 1000, "x"}, {"psetex", "other:reuse:answer:a", 1000, "x"},
		{"hset", mark, "all", "x"}, {"del", mark}, {"set", answer, "x"}, {"del", answer}, {"rename", answer, prefix + "app:a"},
		{"eval", "return redis.call('HSET', KEYS[1], 'a', 'b')", 1, prefix + "app:a"},
	} {
		if err := gateway.Do(t.Context(), command...).Err(); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("%v: got %v, want NOPERM", command, err)
		}
	}
	if err := gateway.Do(t.Context(), "psetex", answer, 1000, "x").Err(); err != nil {
		t.Error(err)
	}
}
