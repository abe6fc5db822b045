package cache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// works tells which of all that the lookups do go well.
type works struct{ record, absent, database, count, tracked, moving bool }

// everything is what a user with every right can do.
var everything = works{true, true, true, true, true, true}

// rights are those that a topology needs, each with what doesn't go without it.
type rights map[string]func(w *works)

var (
	noLookups  = func(w *works) { w.record, w.absent, w.database, w.moving = false, false, false, false }
	noAbsence  = func(w *works) { w.absent, w.database = false, false }
	noDatabase = func(w *works) { w.database = false }
	noCount    = func(w *works) { w.count = false }
	noTracking = func(w *works) { w.tracked = false }
	nothing    = func(w *works) { *w = works{} }
)

var serverRights = rights{
	"%R~m2m:*": noLookups, "+hmget": noLookups, "+exists": noAbsence, "+select": noDatabase, "+scan": noCount,
	"+client|tracking": noTracking, "+ping": noTracking,
}

// clusterRights are those that a cluster, which has no databases, needs in
// addition.
var clusterRights = rights{"+cluster|slots": nothing, "+asking": func(w *works) { w.moving = false }}

// sentinelRights are those of the user that asks the sentinels.
var sentinelRights = rights{"+sentinel|get-master-addr-by-name": nothing}

// asWatcher is that user.
func asWatcher(c map[string]any) {
	redis := c["redis"].(map[string]any)
	redis["sentinel_username"], redis["sentinel_password"] = "m2m", "p4ssw0rd"
}

// without are the rights but for one, as words of ACL SETUSER, and what goes
// well with them.
func (r rights) without(right string) (words []any, w works) {
	words = []any{"ACL", "SETUSER", "m2m", "reset", "on", ">p4ssw0rd", "-@all"}
	w = everything
	for name, lacks := range r {
		if name == right {
			lacks(&w)
		} else {
			words = append(words, name)
		}
	}
	return words, w
}

// each tries the rights without each of them in turn, and all of them.
func (r rights) each(t *testing.T, servers []*redistest.Server, try func(t *testing.T) works) {
	t.Helper()
	for right := range r {
		r.try(t, right, servers, try)
	}
	r.try(t, "", servers, try)
}

func (r rights) try(t *testing.T, right string, servers []*redistest.Server, try func(t *testing.T) works) {
	t.Helper()
	words, want := r.without(right)
	for _, server := range servers {
		if err := server.Client().Do(t.Context(), words...).Err(); err != nil {
			t.Fatalf("%v: %v", words, err)
		}
	}
	if got := try(t); got != want {
		t.Errorf("without %q: got %+v, not %+v", right, got, want)
	}
}

// elsewhere has the lookups use another database, which is empty.
func elsewhere(change func(map[string]any)) func(map[string]any) {
	return func(c map[string]any) {
		change(c)
		c["redis"].(map[string]any)["database"] = 1.0
	}
}

// tryAll uses fresh lookups for all that they do but to be told of changes and
// to follow a moving slot. other are those in another database.
func tryAll(t *testing.T, r, other *Records) works {
	t.Helper()
	w := everything
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	skip := skipping(r)
	got, err := r.Record(ctx, schema.Application, "a")
	w.record = err == nil && got["region"] == "eu"
	skip(retryInterval)
	_, err = r.Record(ctx, schema.Application, "absent")
	w.absent = errors.Is(err, schema.ErrNoRecord)
	_, err = other.Record(ctx, schema.Application, "a")
	w.database = errors.Is(err, schema.ErrNoRecord)
	n, err := r.Count(ctx, 10)
	w.count = err == nil && n == 1
	return w
}

// tracks tells whether every master tells of changes.
func tracks(t *testing.T, cfg *schema.Config) bool {
	t.Helper()
	tier := newTier(10, 1<<20)
	tr := newTracker(cfg, tier)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); tr.run(ctx) }()
	defer func() { cancel(); <-ended }()
	works := false
	await.True(t, "word of tracking", func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		works = len(tr.failures) > 1
		for _, err := range tr.failures {
			if err != nil {
				works = false
				return true
			}
		}
		return works
	})
	return works
}

func TestRightsAtServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	write(t, server, prefix+"app:a", "region", "eu")
	serverRights.each(t, []*redistest.Server{server}, func(t *testing.T) works {
		w := tryAll(t, lookups(t, server, m2m), lookups(t, server, elsewhere(m2m)))
		w.tracked = tracks(t, configAt(t, server.Port(), toldAs))
		w.moving = w.record
		return w
	})
}

// TestRightsBySentinel: the reader's rights at the servers, and those of the
// sentinels' own user.
func TestRightsBySentinel(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, 3)
	write(t, s.Master(), prefix+"app:a", "region", "eu")
	words, _ := sentinelRights.without("")
	for _, sentinel := range s.Sentinels() {
		if err := sentinel.Client().Do(t.Context(), words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	try := func(t *testing.T) works {
		w := tryAll(t, bySentinel(t, s, asWatcher), bySentinel(t, s, elsewhere(asWatcher)))
		var cfg *schema.Config
		bySentinel(t, s, func(c map[string]any) { asWatcher(c); cfg = configured(t, c) })
		w.tracked = tracks(t, cfg)
		w.moving = w.record
		return w
	}
	serverRights.each(t, s.Servers(), try)
	sentinelRights.each(t, s.Sentinels(), try)
}

// configured is the configuration that given makes, told of changes.
func configured(t *testing.T, given map[string]any) *schema.Config {
	t.Helper()
	given = map[string]any{"issuer": given["issuer"], "signing": given["signing"], "redis": given["redis"], "claims": given["claims"]}
	told(given)
	cfg, err := schema.Parse(given)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
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
	both := maps.Clone(serverRights)
	maps.Copy(both, clusterRights)
	delete(both, "+select")
	both.each(t, c.Nodes(), func(t *testing.T) works {
		r := inCluster(t, c, nil)
		w := tryAll(t, r, inCluster(t, c, func(given map[string]any) { given["prefix"] = "m2m:other:" }))
		var cfg *schema.Config
		moving := inCluster(t, c, func(given map[string]any) { cfg = configured(t, given) })
		w.tracked = tracks(t, cfg)
		finish := c.StartReshard(c.Slot(key), away)
		got, err := moving.Record(t.Context(), schema.Application, "a")
		w.moving = err == nil && got["region"] == "eu"
		finish()
		c.Reshard(c.Slot(key), home)
		return w
	})
}

// TestRightsOnThePage: docs/redis.md gives the reader what is needed for
// everything, and nothing else.
func TestRightsOnThePage(t *testing.T) {
	var needed []string
	for _, rights := range []rights{serverRights, clusterRights} {
		needed = slices.AppendSeq(needed, maps.Keys(rights))
	}
	var given []string
	for _, word := range redistest.ACL(t, redistest.Reader) {
		if word[0] == '+' || word[0] == '%' {
			given = append(given, word)
		}
	}
	slices.Sort(needed)
	slices.Sort(given)
	if needed = slices.Compact(needed); !slices.Equal(given, needed) {
		t.Errorf("the page gives %v, needed is %v", given, needed)
	}
}
