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
	w.expectCounts(w.do(r), Counts{New: 5, Changed: 1, Deleted: 2}, Counts{New: 2, Changed: 1, Deleted: 1}, Counts{New: 3, Deleted: 1})
	w.expectKeys(allKeys()...)
	slices.Sort(changed)
	if want := slices.Sorted(slices.Values(allKeys())); !slices.Equal(changed, want) {
		t.Errorf("changed are %v", changed)
	}
	if slices.Sort(gone[:2]); !slices.Equal(gone, []string{"app:old1", "app:old2", "user:old", "org:old"}) {
		t.Errorf("gone are %v", gone)
	}
	var want []string
	for range 3 {
		want = append(want, "put organization", "put user", "put application")
	}
	want = append(want, "delete application", "delete user", "delete organization")
	if !slices.Equal(w.events, want) {
		t.Errorf("the order was %v", w.events)
	}
	w.expectCounts(w.do(w.run(source)), Counts{Unchanged: 6}, Counts{Unchanged: 3}, Counts{Unchanged: 3})
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
	w.expectCounts(w.do(w.run(&pages{list: []Page{page}})), Counts{New: 1201, Deleted: 1201}, Counts{}, Counts{})
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
	told := 0
	r.Changed = func(schema.Kind, records.Change) error { told++; return nil }
	r.Deleted = func(schema.Kind, string) error { told++; return nil }
	w.expectCounts(w.do(r), Counts{New: 5, Changed: 1, Deleted: 1}, Counts{New: 3, Deleted: 1}, Counts{New: 3})
	if told != 14 {
		t.Errorf("%d changes were told", told)
	}
	if !maps.Equal(w.dump(), before) {
		t.Error("a dry run wrote something")
	}
}

// TestTooManyDeletions: if too much of one kind is gone, nothing of any is
// deleted; the rest is written.
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
	r := w.run(threePages())
	r.MaxDelete, _ = ParseLimit("3")
	if deleted := w.do(r)[schema.User].Deleted; deleted != 3 {
		t.Errorf("%d are deleted", deleted)
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

// TestEmptySource: no record at all is as much a loss as any.
func TestEmptySource(t *testing.T) {
	w := start(t)
	w.do(w.run(threePages()))
	r := w.run(&pages{list: []Page{{}}})
	r.MaxDelete, _ = ParseLimit("10%")
	if _, err := r.Do(t.Context()); !errors.Is(err, ErrTooManyDeletions) {
		t.Errorf("got %v", err)
	}
	w.expectKeys(allKeys()...)
	w.do(w.run(&pages{list: []Page{{}}}))
	w.expectKeys()
}

// TestAddedMeanwhile: what another run has written since this one asked for the
// page where it would be isn't deleted.
func TestAddedMeanwhile(t *testing.T) {
	w := start(t)
	source := threePages()
	source.until[2] = func() { w.write(schema.Application, "a-just-added") }
	w.do(w.run(source))
	w.expectKeys(allKeys("app:a-just-added")...)
}

// TestTellingFails: an error of what is told ends the run.
func TestTellingFails(t *testing.T) {
	broken := errors.New("nobody listens")
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

// TestWrittenMeanwhile: what somebody wrote after the source was asked stays, is
// neither replaced nor deleted, and the run says so. A source of which single
// records can't be read again leaves it to the next run.
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
