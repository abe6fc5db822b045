package records

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// now returns the time by the clock of Redis.
func now(t *testing.T, s *Store) Timestamp {
	t.Helper()
	m, err := s.Now(t.Context())
	if err != nil || m <= 0 {
		t.Fatalf("got %v, %v", m, err)
	}
	return m
}

// putIfUnchanged puts one application and returns the error of it.
func putIfUnchanged(t *testing.T, s *Store, asked Timestamp, id string, properties schema.Record) error {
	t.Helper()
	results, err := s.PutIfUnchanged(t.Context(), asked, schema.Application, []Entry{{id, properties}}, Write)
	if err != nil || len(results) != 1 {
		t.Fatalf("got %v, %v", results, err)
	}
	return results[0].Err
}

// testConditional: after any write of a record, older answers are conflicts.
func testConditional(t *testing.T, s *Store, admin redis.UniversalClient) {
	old, older := schema.Record{"a": "1", "b": "1"}, schema.Record{"a": "0"}
	for name, write := range map[string]func(id string) error{
		"put": func(id string) error {
			_, err := s.Put(t.Context(), schema.Application, []Entry{{id, schema.Record{"a": "2"}}}, Write)
			return err
		},
		"patch": func(id string) error {
			_, err := s.Patch(t.Context(), schema.Application, id, schema.Record{"a": "2"}, nil, Write)
			return err
		},
		"delete": func(id string) error {
			_, err := s.Delete(t.Context(), schema.Application, []string{id}, Write)
			return err
		},
		"touch":                     func(id string) error { return s.Touch(t.Context(), schema.Application, id) },
		"put if unchanged":          func(id string) error { return putIfUnchanged(t, s, now(t, s), id, schema.Record{"a": "2"}) },
		"put the same if unchanged": func(id string) error { return putIfUnchanged(t, s, now(t, s), id, old) },
		"delete if unchanged": func(id string) error {
			_, _, err := s.DeleteIfUnchanged(t.Context(), now(t, s), schema.Application, []string{id}, Write)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			if err := putIfUnchanged(t, s, now(t, s), id, old); err != nil {
				t.Fatal(err)
			}
			asked := now(t, s)
			if err := write(id); err != nil {
				t.Fatal(err)
			}
			want := stored(t, admin, prefix+"app:"+id)
			if err := putIfUnchanged(t, s, asked, id, older); !errors.Is(err, ErrConflict) {
				t.Errorf("put: got %v", err)
			}
			deleted, conflicts, err := s.DeleteIfUnchanged(t.Context(), asked, schema.Application, []string{id}, Write)
			if err != nil || len(deleted) > 0 || len(conflicts) != min(1, len(want)) {
				t.Errorf("delete: got %v, %v, %v", deleted, conflicts, err)
			}
			expectStored(t, admin, prefix+"app:"+id, want)
			if err := putIfUnchanged(t, s, now(t, s), id, older); err != nil {
				t.Errorf("asked again: got %v", err)
			}
			expectStored(t, admin, prefix+"app:"+id, older)
			if got := ids(t, s, schema.Application, "*"); !slices.Contains(got, id) || slices.ContainsFunc(got, func(id string) bool { return strings.Contains(id, "written") }) {
				t.Errorf("the records are %v", got)
			}
		})
	}
}

// TestClocks: a clock that is set back or forward lets no old answer replace a
// newer one, and doesn't stop a new one for long.
func TestClocks(t *testing.T) {
	server, s := start(t)
	const hour, day = Timestamp(3600e6), Timestamp(86400e6)
	timestamp := prefix + "written:{" + prefix + "app:x}"
	if err := putIfUnchanged(t, s, now(t, s)+hour, "x", schema.Record{"a": "1"}); !errors.Is(err, ErrConflict) {
		t.Errorf("an answer from the future: got %v", err)
	}
	if err := putIfUnchanged(t, s, now(t, s)-day, "x", schema.Record{"a": "1"}); !errors.Is(err, ErrConflict) {
		t.Errorf("an answer of a day ago: got %v", err)
	}
	if err := server.Client().Set(t.Context(), timestamp, fmt.Sprint(now(t, s)+hour), 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := putIfUnchanged(t, s, now(t, s), "x", schema.Record{"a": "1"}); !errors.Is(err, ErrConflict) {
		t.Errorf("a timestamp from the future: got %v", err)
	}
	if err := putIfUnchanged(t, s, now(t, s), "x", schema.Record{"a": "1"}); err != nil {
		t.Errorf("once more: got %v", err)
	}
	if left := server.Client().TTL(t.Context(), timestamp).Val(); left <= 0 || left > timestampLifetime {
		t.Errorf("got a lifetime of %v, want at most %v", left, timestampLifetime)
	}
}

// TestOneBadEntry: an invalid record stops no other.
func TestOneBadEntry(t *testing.T) {
	server, s := start(t)
	if err := server.Client().Set(t.Context(), prefix+"app:text", "precious", 0).Err(); err != nil {
		t.Fatal(err)
	}
	good := schema.Record{"a": "1"}
	entries := []Entry{{"first", good}, {"text", good}, {"a ", good}, {"empty", nil}, {"last", good}}
	for _, mode := range []Mode{DryRun, Write} {
		results, err := s.PutIfUnchanged(t.Context(), now(t, s), schema.Application, entries, mode)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if bad := i > 0 && i < 4; r.ID != entries[i].ID || errors.Is(r.Err, schema.ErrInvalidRecord) != bad || bad == (r.Err == nil) {
				t.Errorf("dry run %v: %q: got %v", mode, r.ID, r.Err)
			}
		}
	}
	expectStored(t, server.Client(), prefix+"app:first", good)
	expectStored(t, server.Client(), prefix+"app:last", good)
	if got := server.Client().Get(t.Context(), prefix+"app:text").Val(); got != "precious" {
		t.Errorf("got %q, want precious", got)
	}
}

// TestUnknownScript: a server that lost the script, such as by a restart, gets it
// again.
func TestUnknownScript(t *testing.T) {
	server, s := start(t)
	asked := now(t, s)
	for i := range 2 {
		if err := server.Client().ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		put(t, s, Entry{"x", schema.Record{"a": fmt.Sprint(i)}})
	}
	expectStored(t, server.Client(), prefix+"app:x", schema.Record{"a": "1"})
	if err := putIfUnchanged(t, s, asked, "x", schema.Record{"a": "old"}); !errors.Is(err, ErrConflict) {
		t.Errorf("an older answer: got %v, want %v", err, ErrConflict)
	}
}

// TestBracesInCluster: a timestamp is in the slot of its record, or the record is
// refused.
func TestBracesInCluster(t *testing.T) {
	cfg := clusterConfig(redistest.StartCluster(t, 3, 0))
	for _, c := range []struct {
		prefix, id string
		ok         bool
	}{
		{prefix, "a", true}, {prefix, "{a}", true}, {prefix, "x{a}y{b}", true}, {prefix, "a{b", true}, {prefix, "{{a}}", true},
		{"{m2m}:", "a", true}, {"{m2m}:", "{a}", true}, {"{m2m}:", "a}", true}, {prefix, "{}", false}, {prefix, "a}b", false}, {"m2m{:", "a", false},
	} {
		s := open(t, cfg, c.prefix)
		_, putErr := s.Put(t.Context(), schema.Application, []Entry{{c.id, schema.Record{"a": "1"}}}, Write)
		sinceErr := putIfUnchanged(t, s, now(t, s), c.id, schema.Record{"a": "2"})
		for _, err := range []error{putErr, sinceErr} {
			if c.ok && err != nil || !c.ok && (!errors.Is(err, schema.ErrInvalidRecord) || !strings.Contains(err.Error(), "braces")) {
				t.Errorf("%s %s: got %v", c.prefix, c.id, err)
			}
		}
	}
}
