package records

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// marks returns the marks that purges left.
func marks(t *testing.T, admin redis.UniversalClient) schema.Record {
	t.Helper()
	return stored(t, admin, schema.PurgeMarksKey(prefix))
}

// purge purges a client, which must change its mark alone, and returns the marks.
func purge(t *testing.T, s *Store, admin redis.UniversalClient, clientID string) schema.Record {
	t.Helper()
	before := marks(t, admin)
	all, err := s.Purge(t.Context(), clientID)
	after := marks(t, admin)
	name := schema.PurgedClient(clientID)
	if all || err != nil || after[name] == before[name] || len(after[name]) < 22 {
		t.Errorf("Purge(%q) = %v, %v, and leaves the mark %q, want another one than %q", clientID, all, err, after[name], before[name])
	}
	before[name] = after[name]
	if !maps.Equal(before, after) {
		t.Errorf("Purge(%q) changes other marks: got %v", clientID, after)
	}
	return after
}

// purgeAll purges all clients, which must leave one new mark, and returns it.
func purgeAll(t *testing.T, s *Store, admin redis.UniversalClient) string {
	t.Helper()
	before := marks(t, admin)[schema.PurgedAll]
	err := s.PurgeAll(t.Context())
	after := marks(t, admin)
	if mark := after[schema.PurgedAll]; err != nil || len(after) != 1 || mark == before || len(mark) < 22 {
		t.Errorf("PurgeAll() = %v, and leaves %v, want a new mark for all alone", err, after)
	}
	return after[schema.PurgedAll]
}

func testPurge(t *testing.T, s *Store, admin redis.UniversalClient) {
	ids := []string{"a", "My Billing Service", "all", "client:a", strings.Repeat("x", schema.MaxIDSize)}
	for range 2 {
		for _, id := range ids {
			purge(t, s, admin, id)
		}
	}
	first := purgeAll(t, s, admin)
	purge(t, s, admin, "a")
	if second := purgeAll(t, s, admin); second == first {
		t.Errorf("got the mark %q twice", second)
	}
	for _, id := range []string{"", " a", "a ", "ü", strings.Repeat("x", schema.MaxIDSize+1)} {
		before := marks(t, admin)
		if _, err := s.Purge(t.Context(), id); err == nil || !maps.Equal(marks(t, admin), before) {
			t.Errorf("Purge(%q) = %v and changes the marks, want an error and none changed", id, err)
		}
	}
}

// testManyPurges: with as many marks as there may be, a purge of one more client is
// one of all, and a purge of a known client isn't.
func testManyPurges(t *testing.T, s *Store, admin redis.UniversalClient) {
	before := purgeAll(t, s, admin)
	for i := 1; i < schema.MaxPurgeMarks; i++ {
		hset(t, admin, schema.PurgeMarksKey(prefix), schema.PurgedClient(fmt.Sprint(i)), "1")
	}
	purge(t, s, admin, "7")
	all, err := s.Purge(t.Context(), "one more")
	if got := marks(t, admin); !all || err != nil || len(got) != 1 || got[schema.PurgedAll] == before || got[schema.PurgedAll] == "" {
		t.Errorf("Purge() = %v, %v, and leaves %v, want a new mark for all", all, err, got)
	}
}

// testPurgeOfAnotherType: a purge works whatever is at the key.
func testPurgeOfAnotherType(t *testing.T, s *Store, admin redis.UniversalClient) {
	for _, purge := range []func() error{
		func() error { return s.PurgeAll(t.Context()) },
		func() error { _, err := s.Purge(t.Context(), "a"); return err },
	} {
		key := schema.PurgeMarksKey(prefix)
		if err := errors.Join(admin.Del(t.Context(), key).Err(), admin.Set(t.Context(), key, "x", 0).Err(), purge()); err != nil {
			t.Error(err)
		}
		if got := marks(t, admin); len(got) != 1 || got[schema.PurgedAll] == "" {
			t.Errorf("got the marks %v, want one for all", got)
		}
	}
}

// TestPurgeWithoutRedis: nobody is told that something was purged.
func TestPurgeWithoutRedis(t *testing.T) {
	server, s := start(t)
	server.Stop()
	_, err := s.Purge(t.Context(), "a")
	for _, err := range []error{err, s.PurgeAll(t.Context())} {
		if !errors.Is(err, schema.ErrUnavailable) {
			t.Errorf("got %v, want that it is unavailable", err)
		}
	}
}

// purgerRights are those that a user needs who only purges.
var purgerRights = []string{"~m2m:*reuse:purged", "+hgetall", "+hset", "+del", "+evalsha", "+eval"}

// TestPurgerRights: the rights in docs/redis.md are enough to purge, and each is
// needed. The writer has them, too. A purger can't write records.
func TestPurgerRights(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client()
	cfg := redistest.Config(server.Port())
	cfg.Username, cfg.Password = redistest.Purger, redistest.PurgerPassword
	for _, without := range append(slices.Clone(purgerRights), "") {
		rule := []any{"acl", "setuser", redistest.Purger, "reset", "on", ">" + redistest.PurgerPassword, "-@all"}
		for _, right := range purgerRights {
			if right != without {
				rule = append(rule, right)
			}
		}
		if err := errors.Join(admin.FlushAll(t.Context()).Err(), admin.ScriptFlush(t.Context()).Err(), admin.Do(t.Context(), rule...).Err()); err != nil {
			t.Fatal(err)
		}
		s := open(t, cfg, prefix)
		_, err := s.Purge(t.Context(), "a")
		err = errors.Join(err, s.PurgeAll(t.Context()), s.PurgeAll(t.Context())) // by the script's name, too
		if (err == nil) != (without == "") {
			t.Errorf("without %q: got %v", without, err)
		}
		if _, err := s.Patch(t.Context(), schema.Application, "a", schema.Record{"b": "c"}, nil, Write); err == nil {
			t.Error("a purger writes a record")
		}
	}
	given := slices.DeleteFunc(redistest.ACL(t, redistest.Purger), func(word string) bool {
		return word[0] != '+' && word[0] != '~' || slices.Contains([]string{"+select", "+cluster|slots", "+asking"}, word)
	})
	if want := slices.Sorted(slices.Values(purgerRights)); !slices.Equal(slices.Sorted(slices.Values(given)), want) {
		t.Errorf("the page gives %v, want %v", given, want)
	}
	for _, right := range purgerRights[1:] {
		if _, has := writerRights[right]; !has {
			t.Errorf("a writer lacks %s, and so can't purge", right)
		}
	}
}
