package records

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// put writes entries as application records.
func put(t *testing.T, s *Store, entries ...Entry) []Change {
	t.Helper()
	changes, err := s.Put(t.Context(), schema.Application, entries, Write)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func testPut(t *testing.T, s *Store, admin redis.UniversalClient) {
	for name, c := range map[string]struct{ before, given, after schema.Record }{
		"new":              {nil, schema.Record{"a": "1"}, schema.Record{"a": "1"}},
		"the same":         {schema.Record{"a": "1"}, schema.Record{"a": "1"}, schema.Record{"a": "1"}},
		"another value":    {schema.Record{"a": "1"}, schema.Record{"a": "2"}, schema.Record{"a": "2"}},
		"one more":         {schema.Record{"a": "1"}, schema.Record{"a": "1", "b": "2"}, schema.Record{"a": "1", "b": "2"}},
		"one less":         {schema.Record{"a": "1", "b": "2"}, schema.Record{"a": "1"}, schema.Record{"a": "1"}},
		"all others":       {schema.Record{"a": "1", "b": "2"}, schema.Record{"c": "3"}, schema.Record{"c": "3"}},
		"an empty value":   {schema.Record{"a": "1", "b": "2"}, schema.Record{"a": "", "b": "2"}, schema.Record{"b": "2"}},
		"empty before":     {schema.Record{"a": "", "b": "2"}, schema.Record{"b": "2"}, schema.Record{"b": "2"}},
		"a value of bytes": {nil, schema.Record{"a": "\x00\r\n*1\r\n$4"}, schema.Record{"a": "\x00\r\n*1\r\n$4"}},
		"the longest":      {nil, schema.Record{"a": strings.Repeat("ä", 2048)}, schema.Record{"a": strings.Repeat("ä", 2048)}},
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			key := prefix + "app:" + id
			for property, value := range c.before {
				hset(t, admin, key, property, value)
			}
			for _, mode := range []Mode{DryRun, Write} {
				changes, err := s.Put(t.Context(), schema.Application, []Entry{{id, c.given}}, mode)
				if err != nil || len(changes) != 1 {
					t.Fatalf("got %v, %v", changes, err)
				}
				got := changes[0]
				if got.ID != id || !maps.Equal(got.Before, c.before) || !maps.Equal(got.After, c.after) || got.Unchanged() != maps.Equal(c.before, c.after) {
					t.Errorf("got the change %+v, want %v to %v", got, c.before, c.after)
				}
				if mode == DryRun {
					expectStored(t, admin, key, c.before)
				}
			}
			expectStored(t, admin, key, c.after)
		})
	}
}

func TestPutBatch(t *testing.T) {
	server, s := start(t)
	put(t, s, Entry{"same", schema.Record{"a": "1"}}, Entry{"less", schema.Record{"a": "1", "b": "1"}}, Entry{"other", schema.Record{"a": "1"}})
	entries := []Entry{
		{"new", schema.Record{"a": "1"}}, {"same", schema.Record{"a": "1"}},
		{"less", schema.Record{"a": "1"}}, {"other", schema.Record{"b": "1"}},
	}
	expectNoWrites(t, server.Client(), func() {
		if _, err := s.Put(t.Context(), schema.Application, entries, DryRun); err != nil {
			t.Error(err)
		}
	})
	changes := put(t, s, entries...)
	if len(changes) != 4 || !changes[1].Unchanged() || changes[0].Unchanged() || changes[2].Unchanged() || changes[3].Unchanged() {
		t.Errorf("got %+v", changes)
	}
	expectEverything(t, server.Client(), map[string]schema.Record{
		"new": {"a": "1"}, "same": {"a": "1"}, "less": {"a": "1"}, "other": {"b": "1"},
	})
	expectNoWrites(t, server.Client(), func() { put(t, s, entries...) })
	expectNoWrites(t, server.Client(), func() { put(t, s) })
}

func TestPutRefuses(t *testing.T) {
	server, s := start(t)
	const secret = "value-that-nobody-shows"
	good := Entry{"good", schema.Record{"a": "1"}}
	for name, c := range map[string]struct {
		kind schema.Kind
		bad  Entry
		says string
	}{
		"a space at an end": {schema.Application, Entry{"a ", schema.Record{"a": secret}}, "printable ASCII"},
		"no property":       {schema.Application, Entry{"x", schema.Record{"a": ""}}, "no property"},
		"not UTF-8":         {schema.Application, Entry{"x", schema.Record{"a": secret + "\xff"}}, "isn't UTF-8"},
		"another code":      {schema.Organization, Entry{"x", schema.Record{"code": secret}}, "code must be"},
		"perhaps suspended": {schema.Organization, Entry{"x", schema.Record{"is_suspended": secret}}, "is_suspended must be"},
	} {
		t.Run(name, func(t *testing.T) {
			expectNoWrites(t, server.Client(), func() {
				_, err := s.Put(t.Context(), c.kind, []Entry{good, c.bad, good}, Write)
				if !errors.Is(err, schema.ErrInvalidRecord) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secret) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func testPatch(t *testing.T, s *Store, admin redis.UniversalClient) {
	for name, c := range map[string]struct {
		before, set schema.Record
		unset       []string
		after       schema.Record
	}{
		"a new record":    {nil, schema.Record{"a": "1"}, nil, schema.Record{"code": "", "a": "1"}},
		"set":             {schema.Record{"a": "1", "b": "2"}, schema.Record{"a": "3"}, nil, schema.Record{"code": "", "a": "3", "b": "2"}},
		"set to nothing":  {schema.Record{"a": "1", "b": "2"}, schema.Record{"a": ""}, nil, schema.Record{"code": "", "b": "2"}},
		"unset":           {schema.Record{"a": "1", "b": "2"}, nil, []string{"a", "none"}, schema.Record{"code": "", "b": "2"}},
		"set and unset":   {schema.Record{"a": "1", "b": "2"}, schema.Record{"c": "3"}, []string{"a"}, schema.Record{"code": "", "b": "2", "c": "3"}},
		"both of one":     {schema.Record{"a": "1"}, schema.Record{"b": "3"}, []string{"b"}, schema.Record{"code": "", "a": "1"}},
		"unset the last":  {schema.Record{"a": "1"}, nil, []string{"a"}, schema.Record{"code": ""}},
		"unset the code":  {schema.Record{"a": "1"}, nil, []string{"code"}, schema.Record{"code": "", "a": "1"}},
		"as it is":        {schema.Record{"code": "", "a": "1"}, schema.Record{"a": "1"}, nil, schema.Record{"code": "", "a": "1"}},
		"suspended":       {schema.Record{"is_suspended": "false"}, schema.Record{"is_suspended": "true"}, nil, schema.Record{"code": "", "is_suspended": "true"}},
		"what was broken": {schema.Record{"is_suspended": "perhaps"}, schema.Record{"is_suspended": "true"}, nil, schema.Record{"code": "", "is_suspended": "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			key := prefix + "org:" + id
			for _, r := range []schema.Record{c.before, c.after} {
				if _, ok := r["code"]; ok {
					r["code"] = id
				}
			}
			for property, value := range c.before {
				hset(t, admin, key, property, value)
			}
			for _, mode := range []Mode{DryRun, Write} {
				change, err := s.Patch(t.Context(), schema.Organization, id, c.set, c.unset, mode)
				if err != nil || !maps.Equal(change.Before, c.before) || !maps.Equal(change.After, c.after) {
					t.Errorf("got %+v, %v, want %v to %v", change, err, c.before, c.after)
				}
				if mode == DryRun {
					expectStored(t, admin, key, c.before)
				}
			}
			expectStored(t, admin, key, c.after)
		})
	}
}

func TestPatchRefuses(t *testing.T) {
	server, s := start(t)
	before := schema.Record{"code": "x", "a": "1"}
	hset(t, server.Client(), prefix+"org:x", "code", "x", "a", "1")
	if _, err := s.Patch(t.Context(), schema.Organization, "x", nil, nil, Write); err == nil {
		t.Error("got no error for nothing to do")
	}
	for name, set := range map[string]schema.Record{
		"another code": {"code": "y"},
		"a bad flag":   {"is_suspended": "yes"},
		"not UTF-8":    {"a": "\xff"},
	} {
		if _, err := s.Patch(t.Context(), schema.Organization, "x", set, nil, Write); !errors.Is(err, schema.ErrInvalidRecord) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	expectStored(t, server.Client(), prefix+"org:x", before)
	if _, err := s.Patch(t.Context(), schema.Application, "one", nil, []string{"a"}, Write); !errors.Is(err, schema.ErrInvalidRecord) {
		t.Errorf("no property would be left: got %v", err)
	}
}

// TestReadersSeeOneVersion: a record changes as a whole.
func TestReadersSeeOneVersion(t *testing.T) {
	_, s := start(t)
	versions := []schema.Record{
		{"version": "0", "a": "0", "b": "0"},
		{"version": "1", "a": "1", "c": "1"}, // sets and unsets
		{"version": "2", "a": "2", "c": "2", "d": "2"},
		{"a": "2", "c": "2"}, // only unsets
	}
	put(t, s, Entry{"x", versions[0]})
	var done atomic.Bool
	seen := make(chan schema.Record, 1)
	go func() {
		defer close(seen)
		for !done.Load() {
			got, err := s.Get(t.Context(), schema.Application, "x")
			if err != nil {
				got = schema.Record{"error": err.Error()}
			}
			if !slices.ContainsFunc(versions, func(v schema.Record) bool { return maps.Equal(v, got) }) {
				seen <- got
				return
			}
		}
	}()
	for i := range 3000 {
		put(t, s, Entry{"x", versions[(i+1)%len(versions)]})
	}
	done.Store(true)
	if got, ok := <-seen; ok {
		t.Errorf("got %v, want one of %v", got, versions)
	}
}

// TestWritersLeaveOneVersion: of two parallel writers of a record one wins. The
// record isn't made of both.
func TestWritersLeaveOneVersion(t *testing.T) {
	for name, before := range map[string]schema.Record{"new": nil, "changed": {"a": "0", "b": "0"}} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			proxy := redistest.StartProxy(t, server.Addr())
			slow, fast := open(t, redistest.Config(proxy.Port()), prefix), open(t, redistest.Config(server.Port()), prefix)
			if before != nil {
				put(t, fast, Entry{"x", before})
			}
			versions := []schema.Record{{"a": "1", "b": "1", "c": "1"}, {"a": "2"}}
			var once atomic.Bool
			proxy.Handle(func(command []string) (string, bool) {
				if strings.EqualFold(command[0], "evalsha") && once.CompareAndSwap(false, true) {
					put(t, fast, Entry{"x", versions[0]})
				}
				return "", false
			})
			put(t, slow, Entry{"x", versions[1]})
			if got := stored(t, server.Client(), prefix+"app:x"); !maps.Equal(got, versions[0]) && !maps.Equal(got, versions[1]) {
				t.Errorf("the record became %v", got)
			}
		})
	}
}

// TestPatchesOfOneRecord: none is lost.
func TestPatchesOfOneRecord(t *testing.T) {
	server, s := start(t)
	want := schema.Record{}
	errs := make(chan error)
	for i := range 50 {
		name := fmt.Sprintf("p%d", i)
		want[name] = "x"
		go func() {
			_, err := s.Patch(t.Context(), schema.Application, "x", schema.Record{name: "x"}, nil, Write)
			errs <- err
		}()
	}
	for range 50 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	expectStored(t, server.Client(), prefix+"app:x", want)
}
