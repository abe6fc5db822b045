package reconcile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestUnreadFiles: each file below the folders that isn't read is named with the
// reason, and what beside the folders may be meant for them.
func TestUnreadFiles(t *testing.T) {
	tr := newTree(t)
	tr.file("app/a.json", rec("a"))
	want := map[string]string{
		"app/README.md": ".jsonl", "app/team/apps.csv": ".jsonl", "app/a.json~": ".jsonl", "app/a": ".jsonl", "app/.hidden.json": "dot",
		"apps/a.json": "", "Organizations/a.json": "", "USER/a.json": "", "a.json": "folders", "all.JSONL": "folders",
	}
	for path := range want {
		tr.file(path, "no record")
	}
	for folder := range map[string]bool{"apps": true, "Organizations": true, "USER": true} {
		delete(want, folder+"/a.json")
		want[folder] = "folders"
	}
	for _, ignored := range []string{"README.md", ".git/a.json", "app/.git/a.json", "scripts/a.json"} {
		tr.file(ignored, "no record")
	}
	got := map[string]string{}
	d := Directory{Path: tr.dir, Unread: func(path, reason string) { got[path] = reason }}
	for _, err := range d.Pages(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, reason := range want {
		path = filepath.Join(tr.dir, path)
		if !strings.Contains(got[path], reason) || got[path] == "" {
			t.Errorf("%s isn't read: %q, want a reason with %q", path, got[path], reason)
		}
		delete(got, path)
	}
	if len(got) > 0 {
		t.Errorf("also named are %v, want only %d", got, len(want))
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

func TestVersion(t *testing.T) {
	tr := newTree(t)
	tr.file("app/a.json", rec("a"))
	tr.file("app/b.json", rec("b"))
	past := time.Now().Add(-time.Hour)
	seen := map[string]string{}
	step := func(what string, changes bool, do func()) {
		t.Helper()
		do()
		now, err := Directory{Path: tr.dir}.Version()
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
	step("a file that isn't read", true, func() { tr.file("app/x.txt", "x"); tr.file("app/.git/a.json", "x") })
	step("other content in it", false, func() { tr.file("app/x.txt", "another"); tr.file("app/.git/b.json", "x") })
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
	if _, err := (Directory{Path: filepath.Join(tr.dir, "gone")}).Version(); err == nil {
		t.Error("a missing directory has a version")
	}
}
