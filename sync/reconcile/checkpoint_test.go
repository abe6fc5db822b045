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

// interrupt expects that r ends with err.
func (w *world) interrupt(r *Run, err error) {
	w.Helper()
	if _, got := r.Do(w.Context()); !errors.Is(got, err) {
		w.Fatalf("got %v, want %v", got, err)
	}
}

// TestResume: a run that was interrupted after any page resumes there. The result
// is that of one run, including deletions.
func TestResume(t *testing.T) {
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
				w.interrupt(w.resumable(p, c), errSource)
				w.interrupt(w.resumable(p, c), errSource) // once more, without progress
				if process == "another" {
					c = NewCheckpoint(c.path, source)
				}
				p.fail = nil
				w.do(w.resumable(p, c))
				if from := p.asked[2]; cut > 0 && from != fmt.Sprint(cut) || cut == 0 && from != "" {
					t.Errorf("got a run from %q, want from %d", from, cut)
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

// TestUnusableCheckpoints: a run starts over and replaces the file.
func TestUnusableCheckpoints(t *testing.T) {
	head := func(source string, age time.Duration) string {
		return fmt.Sprintf(`{"source":%q,"started":%q,"timestamp":1}`, source, time.Now().Add(-age).Format(time.RFC3339Nano)) + "\n"
	}
	const page = `{"next":"1","ids":{"application":[]}}` + "\n"
	for name, text := range map[string]string{
		"another source":     head("another", 0) + page,
		"too old":            head(source, time.Hour) + page,
		"from the future":    head(source, -time.Hour) + page,
		"no page":            head(source, 0),
		"an incomplete head": head(source, 0)[:20],
		"an incomplete page": head(source, 0) + page[:20],
		"empty":              "",
		"garbage":            "\x00\xff{[",
		"another JSON":       `[1,2,3]`,
		"a page first":       page + page,
		"null":               "null\nnull\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			c := newCheckpoint(t)
			if err := os.WriteFile(c.path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			w.expectStartsOver(c)
		})
	}
}

// expectStartsOver expects that a run starts over, and saves a checkpoint that the
// next one resumes.
func (w *world) expectStartsOver(c *Checkpoint) {
	w.Helper()
	p := threePages()
	p.fail[1] = errSource
	w.interrupt(w.resumable(p, c), errSource)
	info, err := os.Lstat(c.path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
		w.Errorf("the checkpoint is %v, %v", info.Mode(), err)
	}
	p.fail = nil
	w.do(w.resumable(p, c))
	if !slices.Equal(p.asked, []string{"", "1"}) {
		w.Errorf("got runs from %q, want from the beginning and 1", p.asked)
	}
	w.expectKeys(allKeys()...)
	expectNoFile(w.T, c.path)
}

// TestUnreadableCheckpoint: a link is replaced, not followed.
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
			w.expectStartsOver(c)
			if text, err := os.ReadFile(precious); string(text) != "data" {
				t.Errorf("the other file is %q, %v", text, err)
			}
		})
	}
}

// TestIncompleteLine: an incomplete last line is dropped, and lines can follow.
func TestIncompleteLine(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	p.fail[1] = errSource
	w.interrupt(w.resumable(p, c), errSource)
	file, err := os.OpenFile(c.path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(`{"next":"2","ids":{"application":["x`)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	p.fail = map[int]error{2: errSource}
	w.interrupt(w.resumable(p, c), errSource)
	p.fail = nil
	w.do(w.resumable(p, NewCheckpoint(c.path, source)))
	if !slices.Equal(p.asked, []string{"", "1", "2"}) {
		t.Errorf("got runs from %q, want from the beginning, 1 and 2", p.asked)
	}
}

// TestCantResume: a checkpoint that the source no longer knows is removed. The next
// run starts over.
func TestCantResume(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	p.fail[1] = errSource
	w.interrupt(w.resumable(p, c), errSource)
	p.fail[1] = fmt.Errorf("page 1: %w", ErrCantResume)
	w.interrupt(w.resumable(p, c), ErrCantResume)
	expectNoFile(t, c.path)
	p.fail = nil
	w.do(w.resumable(p, c))
	if p.asked[2] != "" {
		t.Errorf("got a run from %q, want from the beginning", p.asked[2])
	}
	w.expectKeys(allKeys()...)
}

// TestLostRecords: if Redis has lost records of the checkpoint, the run starts
// over.
func TestLostRecords(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	p.fail[2] = errSource
	w.interrupt(w.resumable(p, c), errSource)
	w.flush()
	p.fail = nil
	w.do(w.resumable(p, c))
	w.expectKeys(allKeys()...)
}

// TestDryRunLeavesTheCheckpoint: a dry run neither saves nor removes one.
func TestDryRunLeavesTheCheckpoint(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	dry := w.resumable(p, c)
	dry.Mode = records.DryRun
	p.fail[2] = errSource
	w.interrupt(dry, errSource)
	expectNoFile(t, c.path)
	w.interrupt(w.resumable(p, c), errSource)
	p.fail = nil
	w.do(dry)
	w.do(w.resumable(p, c))
	if want := []string{"", "", "", "2"}; !slices.Equal(p.asked, want) {
		t.Errorf("got runs from %q, want from %q", p.asked, want)
	}
	w.expectKeys(allKeys()...)
}

// TestDaemon: one checkpoint for many runs. After a run that read the last page,
// the next one starts over.
func TestDaemon(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "old")
	c, p := newCheckpoint(t), threePages()
	w.do(w.resumable(p, c)) // nothing to delete is left
	w.write(schema.Application, "old")
	careful := w.resumable(p, c)
	careful.MaxDelete = Limit{}
	w.interrupt(careful, ErrTooManyDeletions)
	p.list[0].Records[schema.Organization] = entries("suspended", "o0")
	w.interrupt(careful, ErrTooManyDeletions)
	if got, err := w.Get(t.Context(), schema.Organization, "o0"); err != nil || got["is"] != "suspended" {
		t.Errorf("the organization is %v, %v", got, err)
	}
	p.fail[1] = errSource
	w.interrupt(careful, errSource)
	p.fail = nil
	w.interrupt(careful, ErrTooManyDeletions)
	w.do(w.resumable(p, c))
	w.do(w.resumable(p, c))
	if want := []string{"", "", "", "", "1", "", ""}; !slices.Equal(p.asked, want) {
		t.Errorf("got runs from %q, want from %q", p.asked, want)
	}
	w.expectKeys(allKeys()...)
	expectNoFile(t, c.path)
}

// TestTwoRunsOneCheckpoint: the second run fails while the first one uses the file.
// Afterwards it resumes.
func TestTwoRunsOneCheckpoint(t *testing.T) {
	w := start(t)
	c := newCheckpoint(t)
	first, second := threePages(), threePages()
	first.until[1] = func() {
		w.interrupt(w.resumable(second, NewCheckpoint(c.path, source)), ErrInUse)
		w.interrupt(w.resumable(second, c), ErrInUse)
	}
	first.fail[2] = errSource
	w.interrupt(w.resumable(first, c), errSource)
	w.do(w.resumable(second, NewCheckpoint(c.path, source)))
	if !slices.Equal(second.asked, []string{"2"}) {
		t.Errorf("got runs from %q, want from 2", second.asked)
	}
	w.expectKeys(allKeys()...)
}

// TestWrittenBeforeResuming: a run that resumes deletes nothing that another run
// wrote meanwhile on a page that it doesn't read again.
func TestWrittenBeforeResuming(t *testing.T) {
	w := start(t)
	c, p := newCheckpoint(t), threePages()
	p.fail[1] = errSource
	w.interrupt(w.resumable(p, c), errSource)
	later := threePages()
	later.list[0].Records[schema.Application] = append(later.list[0].Records[schema.Application], entries("app", "a-new")...)
	w.do(w.run(later))
	p.fail = nil
	w.do(w.resumable(p, c))
	w.expectKeys(allKeys("app:a-new")...)
}

// TestFailureBeforeResuming: a record that a run couldn't read before it was
// interrupted is neither deleted nor forgotten.
func TestFailureBeforeResuming(t *testing.T) {
	w := start(t)
	w.write(schema.Application, "bad")
	c, p := newCheckpoint(t), threePages()
	p.list[0].Failed = map[schema.Kind][]Failure{schema.Application: {{ID: "bad", Err: errSource}}}
	p.fail[1] = errSource
	w.interrupt(w.resumable(p, c), errSource)
	p.fail = nil
	_, err := w.resumable(p, NewCheckpoint(c.path, source)).Do(t.Context())
	if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("got %v", err)
	}
	if from := p.asked[len(p.asked)-1]; from != "1" {
		t.Errorf("got a run from %q, want from 1", from)
	}
	w.expectKeys(allKeys("app:bad")...)
}
