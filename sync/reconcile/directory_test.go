package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/neighbours"
)

// tree is a directory in a test.
type tree struct {
	*testing.T
	dir   string
	names schema.Names
}

func newTree(t *testing.T) *tree { return &tree{T: t, dir: t.TempDir()} }

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
	for page, pageErr := range (Directory{Path: tr.dir, Names: tr.names}).Pages(tr.Context(), "") {
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
	tr.file("app/capitals.JSON", "\ufeff\r\n"+rec("e"))
	tr.file("app/capitals.Jsonl", "\ufeff"+rec("f"))
	tr.file("app/empty.jsonl", "")
	tr.file("org/a.jsonl", rec("a"))
	tr.file("user/a.json", rec("a"))
	tr.expect("app:a", "app:b", "app:c", "app:d", "app:e", "app:f", "org:a", "user:a")
	for page := range (Directory{Path: tr.dir}).Pages(t.Context(), "") {
		if got := page.Records[schema.Organization][0].Properties; !maps.Equal(got, schema.Record{"code": "a", "a": "v4lue"}) {
			t.Errorf("the organization is %v", got)
		}
	}
}

// TestNearMissesInFiles: no name beside one with a meaning gets in through a file.
// The error has the place.
func TestNearMissesInFiles(t *testing.T) {
	for _, name := range neighbours.Of("is_suspended", 300) {
		record, err := json.Marshal(map[string]any{"id": "o", "properties": map[string]string{name: "true"}})
		if err != nil {
			t.Fatal(err)
		}
		for path, place := range map[string]string{"org/o.json": "org/o.json: ", "org/all.jsonl": "org/all.jsonl:1: "} {
			tr := newTree(t)
			tr.file(path, string(record))
			tr.expectError(place, `"is_suspended"`)
		}
	}
	tr := newTree(t)
	tr.file("app/a.json", `{"id":"a","properties":{"orgCode":"o"}}`)
	tr.expect("app:a")
	tr.names = schema.Names{schema.Application: {"org_code"}}
	tr.expectError("app/a.json", `"org_code"`)
}

func TestUTF16Files(t *testing.T) {
	tr := newTree(t)
	tr.file("app/a.json", "\xff\xfe{\x00}\x00")
	tr.file("app/b.jsonl", "\xfe\xff\x00{\x00}")
	tr.expectError("a.json: it is UTF-16", "b.jsonl:1: line 1: it is UTF-16")
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
	if _, err := w.run(Directory{Path: tr.dir}).Do(t.Context()); err == nil || len(w.events) > 0 {
		t.Errorf("%v, and %v", err, w.events)
	}
}

func TestDirectoryCancelled(t *testing.T) {
	tr := newTree(t)
	tr.file("app/a.json", rec("a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for page, err := range (Directory{Path: tr.dir}).Pages(ctx, "") {
		if !errors.Is(err, context.Canceled) || len(page.Records) > 0 {
			t.Errorf("got %v, %v", page, err)
		}
	}
}
