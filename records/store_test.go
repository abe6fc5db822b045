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

func testGetAndRead(t *testing.T, s *Store, admin redis.UniversalClient) {
	hset(t, admin, prefix+"app:a", "region", "eu", "empty", "")
	hset(t, admin, prefix+"org:a", "code", "a")
	hset(t, admin, prefix+"user:kp:1:x", "id", "kp:1:x")
	for _, c := range []struct {
		kind schema.Kind
		id   string
		want schema.Record
	}{
		{schema.Application, "a", schema.Record{"region": "eu", "empty": ""}},
		{schema.Organization, "a", schema.Record{"code": "a"}},
		{schema.User, "kp:1:x", schema.Record{"id": "kp:1:x"}},
	} {
		got, err := s.Get(t.Context(), c.kind, c.id)
		if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%s %s: got %v, %v", c.kind, c.id, got, err)
		}
	}
	if _, err := s.Get(t.Context(), schema.User, "a"); !errors.Is(err, schema.ErrNoRecord) || !strings.Contains(err.Error(), prefix+"user:a") {
		t.Errorf("no record: got %v", err)
	}
	read, err := s.Read(t.Context(), schema.Application, []string{"none", "a", "none", "a"})
	if err != nil || len(read) != 4 || len(read[0])+len(read[2]) > 0 || read[1]["region"] != "eu" || read[3]["region"] != "eu" {
		t.Errorf("got %v, %v", read, err)
	}
	if read, err := s.Read(t.Context(), schema.Application, nil); err != nil || len(read) > 0 {
		t.Errorf("nothing: got %v, %v", read, err)
	}
}

func testIDs(t *testing.T, s *Store, admin redis.UniversalClient) {
	var want []string
	for i := range 2500 {
		id := fmt.Sprintf("app_%04d", i)
		want = append(want, id)
		hset(t, admin, prefix+"app:"+id, "a", "b")
	}
	hset(t, admin, prefix+"org:app_0001", "a", "b")
	hset(t, admin, "m2m:example.kinde.com.evil:app:x", "a", "b")
	if got := ids(t, s, schema.Application, "*"); !slices.Equal(got, want) {
		t.Errorf("got %d identifiers, want %d", len(got), len(want))
	}
	if got := ids(t, s, schema.Application, "app_001?"); !slices.Equal(got, want[10:20]) {
		t.Errorf("got %v", got)
	}
	if got := ids(t, s, schema.User, "*"); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	pages := 0
	err := s.IDs(t.Context(), schema.Application, "*", func([]string) bool { pages++; return false })
	if err != nil || pages != 1 {
		t.Errorf("got %d pages, %v", pages, err)
	}
}

// TestPatternsInNames: characters of patterns have no meaning in prefixes and
// identifiers.
func TestPatternsInNames(t *testing.T) {
	server := redistest.Start(t)
	const odd = `m2m:[ab]*?\:`
	s := open(t, redistest.Config(server.Port()), odd)
	names := []string{"*", "?", `\`, `\*`, "[a]", "[^a]", "a", "a:b", "app:", ":"}
	slices.Sort(names)
	for _, id := range names {
		if _, err := s.Put(t.Context(), schema.Application, []Entry{{id, schema.Record{"is": id}}}, Write); err != nil {
			t.Fatal(err)
		}
	}
	hset(t, server.Client(), `m2m:axy\:app:foreign`, "a", "b")
	hset(t, server.Client(), `m2m:a:app:foreign`, "a", "b")
	if got := ids(t, s, schema.Application, "*"); !slices.Equal(got, names) {
		t.Errorf("got %q", got)
	}
	if deleted, err := s.Delete(t.Context(), schema.Application, []string{"*", "?", "[a]"}, Write); err != nil || len(deleted) != 3 {
		t.Errorf("deleted %q, %v", deleted, err)
	}
	for _, id := range names {
		_, err := s.Get(t.Context(), schema.Application, id)
		if isDeleted := id == "*" || id == "?" || id == "[a]"; errors.Is(err, schema.ErrNoRecord) != isDeleted {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestPrefixes don't see each other's records, even if one begins like the other.
func TestPrefixes(t *testing.T) {
	server := redistest.Start(t)
	prefixes := []string{"m2m:a:", "m2m:ab:", "m2m:", "m2m:a", "{m2m}:"}
	for _, p := range prefixes {
		put(t, open(t, redistest.Config(server.Port()), p), Entry{"x", schema.Record{"of": p}}, Entry{"only" + p, schema.Record{"of": p}})
	}
	for _, p := range prefixes {
		s := open(t, redistest.Config(server.Port()), p)
		if got := ids(t, s, schema.Application, "*"); !slices.Equal(got, []string{"only" + p, "x"}) {
			t.Errorf("%s has %v", p, got)
		}
		if got, err := s.Get(t.Context(), schema.Application, "x"); err != nil || got["of"] != p {
			t.Errorf("%s: got %v, %v", p, got, err)
		}
	}
}

func testDelete(t *testing.T, s *Store, admin redis.UniversalClient) {
	for _, id := range []string{"a", "b", "c"} {
		hset(t, admin, prefix+"app:"+id, "a", "b")
	}
	if err := admin.Set(t.Context(), prefix+"app:text", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "b", "text"}
	for _, mode := range []Mode{DryRun, Write} {
		deleted, err := s.Delete(t.Context(), schema.Application, []string{"a", "none", "b", "text"}, mode)
		if err != nil || !slices.Equal(deleted, want) {
			t.Errorf("dry run %v: got %v, %v, want %v", mode, deleted, err, want)
		}
	}
	if got := ids(t, s, schema.Application, "*"); !slices.Equal(got, []string{"c"}) {
		t.Errorf("left are %v", got)
	}
	if deleted, err := s.Delete(t.Context(), schema.Application, nil, Write); err != nil || len(deleted) > 0 {
		t.Errorf("nothing: deleted %v, %v", deleted, err)
	}
}
