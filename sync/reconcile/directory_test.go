package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/schema"
)

// tree is a directory in a test.
type tree struct {
	*testing.T
	dir string
}

func newTree(t *testing.T) *tree { return &tree{t, t.TempDir()} }

// file writes a file, and the folders above it.
func (tr *tree) file(path, text string) {
	tr.Helper()
	path = filepath.Join(tr.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		tr.Fatal(err)
	}
}

func (tr *tree) link(target, path string) {
	tr.Helper()
	path = filepath.Join(tr.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.RemoveAll(path), os.Symlink(target, path)); err != nil {
		tr.Fatal(err)
	}
}

// read returns the keys of all records, sorted, and the error.
func (tr *tree) read() (keys []string, err error) {
	tr.Helper()
	n := 0
	for page, pageErr := range Directory(tr.dir).Pages(tr.Context(), "") {
		n++
		err = pageErr
		for kind, list := range page.Records {
			for _, e := range list {
				keys = append(keys, kind.Key("", e.ID))
			}
		}
		if page.Next != "" {
			tr.Error("it isn't the only page")
		}
	}
	if n != 1 {
		tr.Errorf("got %d pages", n)
	}
	slices.Sort(keys)
	return keys, err
}

func (tr *tree) expect(want ...string) {
	tr.Helper()
	if got, err := tr.read(); err != nil || !slices.Equal(got, want) {
		tr.Errorf("got %v, %v", got, err)
	}
}

// expectError fails the test unless nothing is given and the error says words.
func (tr *tree) expectError(words ...string) {
	tr.Helper()
	keys, err := tr.read()
	if err == nil || len(keys) > 0 {
		tr.Errorf("got %v, %v", keys, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			tr.Errorf("the error doesn't say %q: %v", word, err)
		}
	}
}

func rec(id string) string { return fmt.Sprintf(`{"id":%q,"properties":{"a":"v4lue"}}`, id) + "\n" }

func TestDirectory(t *testing.T) {
	tr := newTree(t)
	tr.file("app/a.json", "\n"+rec("a"))
	tr.file("app/many.jsonl", rec("b")+"\n"+rec("c"))
	tr.file("app/team/x/y/d.json", rec("d"))
	tr.file("app/empty.jsonl", "")
	tr.file("org/a.jsonl", rec("a"))
	tr.file("user/a.json", rec("a"))
	for _, ignored := range []string{"app/README.md", "app/.hidden.json", "app/.git/a.json", "app/a.json~", "app/b.JSON", "other/a.json", "a.json"} {
		tr.file(ignored, "no record")
	}
	tr.expect("app:a", "app:b", "app:c", "app:d", "org:a", "user:a")
	for page := range Directory(tr.dir).Pages(t.Context(), "") {
		if got := page.Records[schema.Organization][0].Properties; !maps.Equal(got, schema.Record{"code": "a", "a": "v4lue"}) {
			t.Errorf("the organization is %v", got)
		}
	}
}

func TestMissingFolders(t *testing.T) {
	tr := newTree(t)
	tr.expectError(tr.dir, "none of the folders")
	tr.file("app/a.json", rec("a"))
	tr.expect("app:a")
	tr.dir = filepath.Join(tr.dir, "gone")
	tr.expectError(tr.dir, "none of the folders")
}

// TestMistakes: each is told, with its file and line, and shows no value.
func TestMistakes(t *testing.T) {
	tr := newTree(t)
	tr.file("app/1.jsonl", rec("a")+"\n{\n"+rec("b b")+rec("c"))
	tr.file("app/2.json", `{"id":"d","properties":{"a":"v4lue","a":"v4lue"}}`)
	tr.file("app/3.json", "")
	tr.file("app/4.json", rec("e")+rec("f"))
	tr.file("app/5.jsonl", rec("g")+rec("a")+rec("g"))
	tr.file("app/6.jsonl", rec("h")+strings.Repeat(" ", 9<<20)+"\n"+rec("i"))
	tr.file("org/1.json", `{"id":"o","properties":{"code":"v4lue","is_suspended":"v4lue"}}`)
	tr.file("user/a/1.json", `{"id":"u","properties":{"id":"v4lue"}}`)
	_, err := tr.read()
	tr.expectError("app/1.jsonl:3: ", "app/1.jsonl:4: ", "app/2.json: ", "app/3.json: ", "app/4.json: ", "app/5.jsonl:2: ", "app/1.jsonl:1 already",
		"app/5.jsonl:3: ", "app/5.jsonl:1 already", "app/6.jsonl:2: ", "org/1.json: ", "is_suspended", "user/a/1.json: ")
	if err != nil && strings.Contains(err.Error(), "v4lue") {
		t.Errorf("it shows a value: %v", err)
	}
	w := start(t)
	w.write(schema.Application, "old")
	if _, err := w.run(Directory(tr.dir)).Do(t.Context()); err == nil || len(w.events) > 0 {
		t.Errorf("%v, and %v", err, w.events)
	}
}

// TestDanglingLink: a link that leads nowhere is a mistake, and doesn't hide
// the files behind it.
func TestDanglingLink(t *testing.T) {
	for _, link := range []string{"app/b.json", "app", "app/team"} {
		t.Run(link, func(t *testing.T) {
			tr := newTree(t)
			tr.file("org/a.json", rec("a"))
			if link != "app" {
				tr.file("app/a.json", rec("a"))
				tr.file("app/c.json", rec("c"))
			}
			tr.link("nowhere", link)
			tr.expectError(link)
		})
	}
}

func TestLinksInThemselves(t *testing.T) {
	tr := newTree(t)
	tr.file("app/a.json", rec("a"))
	tr.link("..", "app/loop")
	tr.expectError("loop")
}

// TestConfigMapOfFolder is mounted at DIR/app: each file is a link through
// ..data, which is swapped.
func TestConfigMapOfFolder(t *testing.T) {
	tr := newTree(t)
	tr.file("app/..1/a.json", rec("a"))
	tr.file("app/..1/b.json", rec("b"))
	tr.file("app/..2/a.json", rec("A"))
	tr.file("app/..2/b.json", rec("B"))
	tr.link("..1", "app/..data")
	tr.link("..data/a.json", "app/a.json")
	tr.link("..data/b.json", "app/b.json")
	tr.expect("app:a", "app:b")
	tr.link("..2", "app/..data")
	tr.expect("app:A", "app:B")
}

// TestConfigMapWithFolders is mounted at DIR: each folder is a link through
// ..data.
func TestConfigMapWithFolders(t *testing.T) {
	tr := newTree(t)
	tr.file("..1/app/a.json", rec("a"))
	tr.file("..1/app/team/b.json", rec("b"))
	tr.file("..1/org/o.json", rec("o"))
	tr.link("..1", "..data")
	tr.link("..data/app", "app")
	tr.link("..data/org", "org")
	tr.expect("app:a", "app:b", "org:o")
}

// TestFolderInConfigMap is mounted at DIR/app and has folders.
func TestFolderInConfigMap(t *testing.T) {
	tr := newTree(t)
	tr.file("app/..1/team/a.json", rec("a"))
	tr.link("..1", "app/..data")
	tr.link("..data/team", "app/team")
	tr.expect("app:a")
}

func TestDirectoryCancelled(t *testing.T) {
	tr := newTree(t)
	tr.file("app/a.json", rec("a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for page, err := range Directory(tr.dir).Pages(ctx, "") {
		if !errors.Is(err, context.Canceled) || len(page.Records) > 0 {
			t.Errorf("got %v, %v", page, err)
		}
	}
}

func TestVersion(t *testing.T) {
	tr := newTree(t)
	tr.file("app/a.json", rec("a"))
	tr.file("app/b.json", rec("b"))
	past := time.Now().Add(-time.Hour)
	seen := map[string]string{}
	step := func(what string, changes bool, do func()) {
		t.Helper()
		do()
		now, err := Directory(tr.dir).Version()
		if err != nil {
			t.Fatal(err)
		}
		if before, known := seen[now]; known == changes {
			t.Errorf("after %s it is as after %q", what, before)
		}
		seen[now] = what
	}
	at := func(path string, when time.Time) {
		if err := os.Chtimes(filepath.Join(tr.dir, path), when, when); err != nil {
			t.Fatal(err)
		}
	}
	step("the begin", true, func() { at("app/a.json", past) })
	step("nothing", false, func() {})
	step("what doesn't count", false, func() { tr.file("app/x.txt", "x"); tr.file("app/.git/a.json", "x") })
	step("a longer file", true, func() { tr.file("app/a.json", rec("aa")); at("app/a.json", past) })
	step("a later time", true, func() { at("app/a.json", past.Add(time.Nanosecond*1000)) })
	step("a new file", true, func() { tr.file("org/new.json", rec("o")) })
	step("one less", true, func() { _ = os.Remove(filepath.Join(tr.dir, "app/b.json")) })
	step("another name", true, func() {
		_ = os.Rename(filepath.Join(tr.dir, "app/a.json"), filepath.Join(tr.dir, "app/z.json"))
	})
	step("a link", true, func() {
		tr.file("..1/c.json", rec("c"))
		tr.file("..2/c.json", rec("d"))
		at("..1/c.json", past)
		tr.link("../..1/c.json", "app/c.json")
	})
	step("a swapped link", true, func() { tr.link("../..2/c.json", "app/c.json") })
	if _, err := Directory(filepath.Join(tr.dir, "gone")).Version(); err == nil {
		t.Error("a directory that isn't there has a version")
	}
}
