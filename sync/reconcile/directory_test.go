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
			tr.Error("got a page with a next one")
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
		tr.Errorf("got %v, %v, want %v", got, err, want)
	}
}

// expectError expects no record and an error with all words.
func (tr *tree) expectError(words ...string) {
	tr.Helper()
	keys, err := tr.read()
	if err == nil || len(keys) > 0 {
		tr.Errorf("got %v, %v", keys, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			tr.Errorf("got the error %v, want %q in it", err, word)
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

// TestDirectoryErrors: each is reported with its file and line, without values.
func TestDirectoryErrors(t *testing.T) {
	tr := newTree(t)
	tr.file("app/1.jsonl", rec("a")+"\n{\n"+rec("b ")+rec("c"))
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

// TestBrokenLinks: a link that leads nowhere, or back to itself, is an error.
func TestBrokenLinks(t *testing.T) {
	for link, target := range map[string]string{"app/b.json": "nowhere", "app": "nowhere", "app/team": "nowhere", "app/loop": ".."} {
		t.Run(link, func(t *testing.T) {
			tr := newTree(t)
			tr.file("org/a.json", rec("a"))
			if link != "app" {
				tr.file("app/a.json", rec("a"))
				tr.file("app/c.json", rec("c"))
			}
			tr.link(target, link)
			tr.expectError(link)
		})
	}
}

// TestConfigMap: Kubernetes mounts a ConfigMap as links through ..data, which it
// swaps.
func TestConfigMap(t *testing.T) {
	t.Run("at DIR/app", func(t *testing.T) {
		tr := newTree(t)
		tr.file("app/..1/a.json", rec("a"))
		tr.file("app/..1/team/b.json", rec("b"))
		tr.file("app/..2/a.json", rec("A"))
		tr.link("..1", "app/..data")
		tr.link("..data/a.json", "app/a.json")
		tr.link("..data/team", "app/team")
		tr.expect("app:a", "app:b")
		tr.file("app/..2/team/b.json", rec("B"))
		tr.link("..2", "app/..data")
		tr.expect("app:A", "app:B")
	})
	t.Run("at DIR", func(t *testing.T) {
		tr := newTree(t)
		tr.file("..1/app/a.json", rec("a"))
		tr.file("..1/org/o.json", rec("o"))
		tr.link("..1", "..data")
		tr.link("..data/app", "app")
		tr.link("..data/org", "org")
		tr.expect("app:a", "org:o")
	})
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
			t.Errorf("after %s the version is that after %q", what, before)
		}
		seen[now] = what
	}
	at := func(path string, when time.Time) {
		if err := os.Chtimes(filepath.Join(tr.dir, path), when, when); err != nil {
			t.Fatal(err)
		}
	}
	step("the beginning", true, func() { at("app/a.json", past) })
	step("nothing", false, func() {})
	step("an ignored file", false, func() { tr.file("app/x.txt", "x"); tr.file("app/.git/a.json", "x") })
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
		t.Error("a missing directory has a version")
	}
}
