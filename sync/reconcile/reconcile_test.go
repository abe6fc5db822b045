package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

func (w *world) run(source Source) *Run {
	return &Run{Source: source, Store: w, MaxDelete: Unlimited}
}

// do runs r and expects no error.
func (w *world) do(r *Run) Summary {
	w.Helper()
	summary, err := r.Do(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return summary
}

// expectCounts compares the counts of applications, organizations and users.
func (w *world) expectCounts(got Summary, want ...Counts) {
	w.Helper()
	for i, kind := range []schema.Kind{schema.Application, schema.Organization, schema.User} {
		if *got[kind] != want[i] {
			w.Errorf("%s: got %+v, want %+v", kind, *got[kind], want[i])
		}
	}
}

func TestRun(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "a0", "old1", "old2")
	w.write(schema.Organization, "o0", "old")
	w.write(schema.User, "old")
	source := threePages()
	var changed, gone []string
	r := w.run(source)
	r.Changed = func(kind schema.Kind, c records.Change) error {
		changed = append(changed, kind.Key("", c.ID))
		return nil
	}
	r.Deleted = func(kind schema.Kind, id string) error { gone = append(gone, kind.Key("", id)); return nil }
	w.expectCounts(w.do(r), Counts{Counts: records.Counts{New: 5, Changed: 1}, Deleted: 2}, Counts{Counts: records.Counts{New: 2, Changed: 1}, Deleted: 1}, Counts{Counts: records.Counts{New: 3}, Deleted: 1})
	w.expectKeys(allKeys()...)
	slices.Sort(changed)
	if want := slices.Sorted(slices.Values(allKeys())); !slices.Equal(changed, want) {
		t.Errorf("got the changes %v, want %v", changed, want)
	}
	if slices.Sort(gone[:2]); !slices.Equal(gone, []string{"app:old1", "app:old2", "user:old", "org:old"}) {
		t.Errorf("got the deletions %v", gone)
	}
	var want []string
	for range 3 {
		want = append(want, "put organization", "put user", "put application")
	}
	want = append(want, "delete application", "delete user", "delete organization")
	if !slices.Equal(w.events, want) {
		t.Errorf("got the order %v, want %v", w.events, want)
	}
	w.expectCounts(w.do(w.run(source)), Counts{Counts: records.Counts{Unchanged: 6}}, Counts{Counts: records.Counts{Unchanged: 3}}, Counts{Counts: records.Counts{Unchanged: 3}})
	for key, n := range w.puts {
		if n != 1 {
			t.Errorf("%s was written %d times", key, n)
		}
	}
}

// TestLargePage: more than one batch of each kind.
func TestLargePage(t *testing.T) {
	w := start(t)
	var ids, old []string
	for i := range 1201 {
		ids, old = append(ids, fmt.Sprint("a", i)), append(old, fmt.Sprint("old", i))
	}
	if _, err := w.Store.Put(t.Context(), schema.Application, entries("x", old...), records.Write); err != nil {
		t.Fatal(err)
	}
	page := Page{Records: map[schema.Kind][]records.Entry{schema.Application: entries("app", ids...)}}
	w.expectCounts(w.do(w.run(&pages{list: []Page{page}})), Counts{Counts: records.Counts{New: 1201}, Deleted: 1201}, Counts{}, Counts{})
	if got := len(w.dump()); got != 1201 {
		t.Errorf("Redis holds %d records", got)
	}
}

func TestRunDry(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "a0", "old")
	w.write(schema.Organization, "old")
	before := w.dump()
	r := w.run(threePages())
	r.Mode = records.DryRun
	calls := 0
	r.Changed = func(schema.Kind, records.Change) error { calls++; return nil }
	r.Deleted = func(schema.Kind, string) error { calls++; return nil }
	w.expectCounts(w.do(r), Counts{Counts: records.Counts{New: 5, Changed: 1}, Deleted: 1}, Counts{Counts: records.Counts{New: 3}, Deleted: 1}, Counts{Counts: records.Counts{New: 3}})
	if calls != 14 {
		t.Errorf("got %d calls, want 14", calls)
	}
	if !maps.Equal(w.dump(), before) {
		t.Error("a dry run wrote something")
	}
}

// TestTooManyDeletions: if too many records of one kind would be deleted, none of
// any kind is. The others are written.
func TestTooManyDeletions(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "old1")
	w.write(schema.User, "old1", "old2", "old3")
	for _, limit := range []string{"0", "2", "30%"} {
		r := w.run(threePages())
		r.MaxDelete, _ = ParseLimit(limit)
		if _, err := r.Do(t.Context()); !errors.Is(err, ErrTooManyDeletions) {
			t.Errorf("%s: %v", limit, err)
		}
		w.expectKeys(allKeys("app:old1", "user:old1", "user:old2", "user:old3")...)
	}
	empty := w.run(&pages{list: []Page{{}}})
	empty.MaxDelete, _ = ParseLimit("99%")
	if _, err := empty.Do(t.Context()); !errors.Is(err, ErrTooManyDeletions) {
		t.Errorf("an empty source: got %v, want %v", err, ErrTooManyDeletions)
	}
	r := w.run(threePages())
	r.MaxDelete, _ = ParseLimit("3")
	if deleted := w.do(r)[schema.User].Deleted; deleted != 3 {
		t.Errorf("got %d deletions, want 3", deleted)
	}
	w.expectKeys(allKeys()...)
}

// TestUnfinishedRuns delete nothing.
func TestUnfinishedRuns(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*pages, func())
		want    error
	}{
		"an error first":         {func(p *pages, _ func()) { p.fail[0] = errSource }, errSource},
		"an error last":          {func(p *pages, _ func()) { p.fail[2] = errSource }, errSource},
		"cancelled first":        {func(p *pages, cancel func()) { p.until[0] = cancel }, context.Canceled},
		"cancelled between":      {func(p *pages, cancel func()) { p.until[1] = cancel }, context.Canceled},
		"cancelled and an error": {func(p *pages, cancel func()) { p.until[1], p.fail[1] = cancel, errSource }, errSource},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			w.write(schema.Application, "old")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			source := threePages()
			c.prepare(source, cancel)
			if _, err := w.run(source).Do(ctx); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			if _, ok := w.dump()[prefix+"app:old"]; !ok {
				t.Error("it was deleted")
			}
		})
	}
}

// TestAddedMeanwhile: a record that somebody writes during a run isn't deleted.
func TestAddedMeanwhile(t *testing.T) {
	w := start(t)
	source := threePages()
	source.until[2] = func() { w.write(schema.Application, "a-just-added") }
	w.do(w.run(source))
	w.expectKeys(allKeys("app:a-just-added")...)
}

// TestCallbackFails: its error ends the run.
func TestCallbackFails(t *testing.T) {
	broken := errors.New("the callback fails")
	w := start(t)
	w.write(schema.Application, "old1")
	r := w.run(threePages())
	r.Changed = func(schema.Kind, records.Change) error { return broken }
	if _, err := r.Do(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	r.Changed, r.Deleted = nil, func(schema.Kind, string) error { return broken }
	if summary, err := r.Do(t.Context()); !errors.Is(err, broken) || summary[schema.Application].Deleted != 1 {
		t.Errorf("got %v", err)
	}
}

// TestWrittenMeanwhile: a record that somebody wrote after the source was asked is
// neither replaced nor deleted, and the run reports it. If the source can't reread
// single records, the next run applies them.
func TestWrittenMeanwhile(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "a1", "old")
	source := threePages()
	source.until[2] = func() {
		if _, err := w.Store.Put(t.Context(), schema.Application, entries("new", "a2", "old"), records.Write); err != nil {
			t.Error(err)
		}
	}
	_, err := w.run(source).Do(t.Context())
	if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), `application "a2"`) {
		t.Errorf("got %v", err)
	}
	if got := w.dump()[prefix+"app:a2"]; got != "map[is:new]" {
		t.Errorf("it is %s", got)
	}
	w.expectKeys(allKeys("app:old")...)
	source.until = nil
	w.do(w.run(source))
	w.expectKeys(allKeys()...)
}

// TestReread: a record that somebody writes meanwhile, each time, is read again
// until nobody does.
func TestReread(t *testing.T) {
	w := start(t)
	source := threePages()
	source.until[2] = func() { w.write(schema.Application, "a2") }
	rereads := 0
	source.list[2].Reread = func(_ context.Context, ids map[schema.Kind][]string) (Page, error) {
		if rereads++; rereads == 1 {
			_, err := w.Store.Put(t.Context(), schema.Application, entries("meanwhile", "a2"), records.Write)
			if err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(ids[schema.Application], []string{"a2"}) {
			t.Errorf("got rereads of %v, want of a2", ids)
		}
		return Page{Records: map[schema.Kind][]records.Entry{schema.Application: entries("reread", "a2")}}, nil
	}
	w.do(w.run(source))
	if got := w.dump()[prefix+"app:a2"]; got != "map[is:reread]" || rereads != 2 {
		t.Errorf("got %s after %d rereads, want the second reread", got, rereads)
	}
}

// TestUnreadableApplication: what is known of it is written, and the organization
// that it may name stays if the source has it.
func TestUnreadableApplication(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "bad")
	w.write(schema.Organization, "named", "old")
	page := Page{
		Failed: map[schema.Kind][]Failure{schema.Application: {{ID: "bad", Err: errSource, Known: schema.Record{"known": "yes"}}}},
		Reread: func(context.Context, map[schema.Kind][]string) (Page, error) {
			return Page{Records: map[schema.Kind][]records.Entry{schema.Organization: entries("org", "named")}}, nil
		},
	}
	if _, err := w.run(&pages{list: []Page{page}}).Do(t.Context()); !errors.Is(err, ErrIncomplete) {
		t.Errorf("got %v, want %v", err, ErrIncomplete)
	}
	w.expectKeys("app:bad", "org:named")
	if got := w.dump()[prefix+"app:bad"]; got != "map[by:hand known:yes]" {
		t.Errorf("got %s", got)
	}
}
