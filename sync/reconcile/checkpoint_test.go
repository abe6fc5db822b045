package reconcile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

const source = "tenant and prefix"

func newCheckpoint(t *testing.T) *Checkpoint {
	return NewCheckpoint(filepath.Join(t.TempDir(), "state"), source)
}

// resumable returns a run with a checkpoint.
func (w *world) resumable(p *pages, c *Checkpoint) *Run {
	r := w.run(p)
	r.Checkpoint = c
	return r
}

// cutOff runs r, which must end with err.
func (w *world) cutOff(r *Run, err error) {
	w.Helper()
	if _, got := r.Do(w.Context()); !errors.Is(got, err) {
		w.Fatalf("got %v", got)
	}
}

// TestGoOnAfterAnyPage: a run that was cut off goes on there, and ends as one
// that wasn't, deletions included.
func TestGoOnAfterAnyPage(t *testing.T) {
	w := start(t)
	prepare := func() {
		w.flush()
		w.write(schema.Application, "a1", "old")
		w.write(schema.Organization, "old")
	}
	prepare()
	w.do(w.run(threePages()))
	want := w.dump()
	for cut := range 3 {
		for _, process := range []string{"the same", "another"} {
			t.Run(fmt.Sprintf("%s process after %d", process, cut), func(t *testing.T) {
				prepare()
				c, p := newCheckpoint(t), threePages()
				p.fail[cut] = errSource
				w.cutOff(w.resumable(p, c), errSource)
				w.cutOff(w.resumable(p, c), errSource) // once more, without a step
				if process == "another" {
					c = NewCheckpoint(c.path, source)
				}
				p.fail = nil
				w.do(w.resumable(p, c))
				if from := p.asked[2]; cut > 0 && from != fmt.Sprint(cut) || cut == 0 && from != "" {
					t.Errorf("it went on at %q", from)
				}
				if got := w.dump(); !maps.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				expectNoFile(t, c.path)
			})
		}
	}
}

func expectNoFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the checkpoint is still there: %v", err)
	}
}

// TestStepByStep: a run that is cut off after each page goes on each time.
func TestStepByStep(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "old")
	c, p := newCheckpoint(t), threePages()
	for i := range 3 {
		p.fail = map[int]error{i: errSource}
		w.cutOff(w.resumable(p, c), errSource)
	}
	p.fail = nil
	w.do(w.resumable(p, c))
	if !slices.Equal(p.asked, []string{"", "", "1", "2"}) {
		t.Errorf("it went on at %q", p.asked)
	}
	w.expectKeys(allKeys()...)
}

// TestUnusableCheckpoints: a run begins anew and replaces the file.
func TestUnusableCheckpoints(t *testing.T) {
	now := time.Now()
	head := func(source string, begun time.Time) string {
		return fmt.Sprintf(`{"source":%q,"begun":%q}`, source, begun.Format(time.RFC3339Nano)) + "\n"
	}
	const page = `{"next":"1","ids":{"application":["a0","b0"]}}` + "\n"
	for name, text := range map[string]string{
		"another source":  head("another", now) + page,
		"too old":         head(source, now.Add(-time.Hour)) + page,
		"from the future": head(source, now.Add(time.Hour)) + page,
		"no page":         head(source, now),
		"a cut-off head":  head(source, now)[:20],
		"a cut-off page":  head(source, now) + page[:20],
		"empty":           "",
		"garbage":         "\x00\xff{[",
		"another JSON":    `[1,2,3]`,
		"a page first":    page + page,
		"null":            "null\nnull\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			c := newCheckpoint(t)
			if err := os.WriteFile(c.path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			w.expectAnew(c)
		})
	}
}

// expectAnew fails the test unless a run begins anew, and keeps a checkpoint
// from which the next goes on.
func (w *world) expectAnew(c *Checkpoint) {
	w.Helper()
	p := threePages()
	p.fail[1] = errSource
	w.cutOff(w.resumable(p, c), errSource)
	info, err := os.Lstat(c.path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
		w.Errorf("the checkpoint is %v, %v", info.Mode(), err)
	}
	p.fail = nil
	w.do(w.resumable(p, c))
	if !slices.Equal(p.asked, []string{"", "1"}) {
		w.Errorf("it went on at %q", p.asked)
	}
	w.expectKeys(allKeys()...)
	expectNoFile(w.T, c.path)
}

// TestUnreadableCheckpoint: one that can't be opened, or leads elsewhere, is
// replaced.
func TestUnreadableCheckpoint(t *testing.T) {
	for name, target := range map[string]string{"a link to itself": "state", "a link to another file": "precious"} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			c := newCheckpoint(t)
			precious := filepath.Join(filepath.Dir(c.path), "precious")
			if err := os.WriteFile(precious, []byte("data"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, c.path); err != nil {
				t.Fatal(err)
			}
			w.expectAnew(c)
			if text, err := os.ReadFile(precious); string(text) != "data" {
				t.Errorf("the other file is %q, %v", text, err)
			}
		})
	}
}

// TestCutOffLine: a line that a crash cut off doesn't spoil those after it.
func TestCutOffLine(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	p.fail[1] = errSource
	w.cutOff(w.resumable(p, c), errSource)
	file, err := os.OpenFile(c.path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(`{"next":"2","ids":{"application":["x`)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	p.fail = map[int]error{2: errSource}
	w.cutOff(w.resumable(p, c), errSource)
	p.fail = nil
	w.do(w.resumable(p, NewCheckpoint(c.path, source)))
	if !slices.Equal(p.asked, []string{"", "1", "2"}) {
		t.Errorf("it went on at %q", p.asked)
	}
}

// TestCantResume: a checkpoint that the source doesn't know any more is
// dropped, so that the next run begins anew.
func TestCantResume(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	p.fail[1] = errSource
	w.cutOff(w.resumable(p, c), errSource)
	p.fail[1] = fmt.Errorf("page 1: %w", ErrCantResume)
	w.cutOff(w.resumable(p, c), ErrCantResume)
	expectNoFile(t, c.path)
	p.fail = nil
	w.do(w.resumable(p, c))
	if p.asked[2] != "" {
		t.Errorf("it went on at %q", p.asked[2])
	}
	w.expectKeys(allKeys()...)
}

// TestLostRecords: if Redis has lost what a checkpoint says is written, a run
// begins anew.
func TestLostRecords(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	p.fail[2] = errSource
	w.cutOff(w.resumable(p, c), errSource)
	w.flush()
	p.fail = nil
	w.do(w.resumable(p, c))
	w.expectKeys(allKeys()...)
}

// TestDryRunLeavesTheCheckpoint: what a dry run doesn't write, nobody can go on
// after; and what another run wrote, it doesn't forget.
func TestDryRunLeavesTheCheckpoint(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	dry := w.resumable(p, c)
	dry.Mode = records.DryRun
	p.fail[2] = errSource
	w.cutOff(dry, errSource)
	expectNoFile(t, c.path)
	w.cutOff(w.resumable(p, c), errSource)
	p.fail = nil
	w.do(dry)
	w.do(w.resumable(p, c))
	if want := []string{"", "", "", "2"}; !slices.Equal(p.asked, want) {
		t.Errorf("the runs began at %q, want %q", p.asked, want)
	}
	w.expectKeys(allKeys()...)
}

// TestDaemon: one checkpoint for many runs. A run that came to the last page
// isn't gone on after: the next asks again what is there.
func TestDaemon(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "old")
	c, p := newCheckpoint(t), threePages()
	w.do(w.resumable(p, c)) // nothing to delete is left
	w.write(schema.Application, "old")
	careful := w.resumable(p, c)
	careful.MaxDelete = Limit{}
	w.cutOff(careful, ErrTooManyDeletions)
	p.list[0].Records[schema.Organization] = entries("suspended", "o0")
	w.cutOff(careful, ErrTooManyDeletions)
	if got, err := w.Get(t.Context(), schema.Organization, "o0"); err != nil || got["is"] != "suspended" {
		t.Errorf("the organization is %v, %v", got, err)
	}
	p.fail[1] = errSource
	w.cutOff(careful, errSource)
	p.fail = nil
	w.cutOff(careful, ErrTooManyDeletions)
	w.do(w.resumable(p, c))
	w.do(w.resumable(p, c))
	if want := []string{"", "", "", "", "1", "", ""}; !slices.Equal(p.asked, want) {
		t.Errorf("the runs began at %q, want %q", p.asked, want)
	}
	w.expectKeys(allKeys()...)
	expectNoFile(t, c.path)
}

// TestTwoRunsOneCheckpoint: the second says that the first uses the file, and
// has its turn when that one has ended.
func TestTwoRunsOneCheckpoint(t *testing.T) {
	w := start(t)
	c := newCheckpoint(t)
	first, second := threePages(), threePages()
	first.until[1] = func() {
		w.cutOff(w.resumable(second, NewCheckpoint(c.path, source)), ErrInUse)
		w.cutOff(w.resumable(second, c), ErrInUse)
	}
	first.fail[2] = errSource
	w.cutOff(w.resumable(first, c), errSource)
	w.do(w.resumable(second, NewCheckpoint(c.path, source)))
	if !slices.Equal(second.asked, []string{"2"}) {
		t.Errorf("it went on at %q", second.asked)
	}
	w.expectKeys(allKeys()...)
}

// TestWrittenBeforeGoingOn: a run that goes on deletes nothing that another run
// wrote since it began, on a page that it doesn't read again.
func TestWrittenBeforeGoingOn(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	p.fail[1] = errSource
	w.cutOff(w.resumable(p, c), errSource)
	later := threePages()
	later.list[0].Records[schema.Application] = append(later.list[0].Records[schema.Application], entries("app", "a-new")...)
	w.do(w.run(later))
	p.fail = nil
	w.do(w.resumable(p, c))
	w.expectKeys(allKeys("app:a-new")...)
}

// TestFailureBeforeGoingOn: a record that a run couldn't read before it was cut
// off is neither deleted nor forgotten.
func TestFailureBeforeGoingOn(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "bad")
	c, p := newCheckpoint(t), threePages()
	p.list[0].Failed = map[schema.Kind][]Failure{schema.Application: {{ID: "bad", Err: errSource}}}
	p.fail[1] = errSource
	w.cutOff(w.resumable(p, c), errSource)
	p.fail = nil
	_, err := w.resumable(p, NewCheckpoint(c.path, source)).Do(t.Context())
	if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("got %v", err)
	}
	if from := p.asked[len(p.asked)-1]; from != "1" {
		t.Errorf("it began at %q", from)
	}
	w.expectKeys(allKeys("app:bad")...)
}
