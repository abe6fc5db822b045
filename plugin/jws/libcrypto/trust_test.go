package libcrypto

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDistrust(t *testing.T) {
	const root, kong, another, dir = 0, 1000, 1001, fs.ModeDir
	for name, tt := range map[string]struct {
		mode               fs.FileMode
		owner, group, user int
		why                string
	}{
		"a package's file, for root":             {0o644, root, root, root, ""},
		"a package's file, for kong":             {0o644, root, root, kong, ""},
		"a package's directory":                  {dir | 0o755, root, root, kong, ""},
		"an image's directory, for kong":         {dir | 0o775, kong, root, kong, ""},
		"an image's directory, for root":         {dir | 0o775, kong, root, root, "another user (uid 1000)"},
		"an image's directory, for another":      {dir | 0o775, kong, root, another, "another user (uid 1000)"},
		"root's, root's group writes, for root":  {dir | 0o775, root, root, root, "users of a group (mode 0775, gid 0)"},
		"root's, a group writes":                 {0o664, root, kong, another, "users of a group (mode 0664, gid 1000)"},
		"its own, its group writes":              {0o664, kong, kong, kong, "users of a group (mode 0664, gid 1000)"},
		"its own file":                           {0o600, kong, kong, kong, ""},
		"everybody writes the file":              {0o646, root, root, kong, "other users (mode 0646)"},
		"everybody writes the directory":         {dir | 0o777, root, root, root, "other users (mode 0777)"},
		"a sticky directory":                     {dir | fs.ModeSticky | 0o777, root, root, root, ""},
		"another's sticky directory":             {dir | fs.ModeSticky | 0o755, another, root, kong, "another user (uid 1001)"},
		"sticky means nothing of a file":         {fs.ModeSticky | 0o666, root, root, kong, "other users"},
		"a link that wasn't one a moment before": {fs.ModeSymlink | 0o777, root, root, kong, "link"},
	} {
		got := distrust(tt.mode, tt.owner, tt.group, tt.user)
		if (got == "") != (tt.why == "") || !strings.Contains(got, tt.why) {
			t.Errorf("%s: distrust = %q, want %q in it", name, got, tt.why)
		}
	}
}

// TestTrustedPath: the file, each directory above it and what links lead to
// count; the links themselves don't.
func TestTrustedPath(t *testing.T) {
	for name, tt := range map[string]struct {
		open string // which of the paths everybody may write
		path string
		why  string
	}{
		"as packages make it":        {"", "a/b/library", ""},
		"by a link":                  {"", "links/library", ""},
		"by a link to the directory": {"", "links/b/library", ""},
		"the file":                   {"a/b/library", "a/b/library", "/a/b/library may be written"},
		"its directory":              {"a/b", "a/b/library", "/a/b may be written"},
		"a directory above":          {"a", "a/b/library", "/a may be written"},
		"where a link leads":         {"a/b", "links/library", "/a/b may be written"},
		"where the link is":          {"links", "links/library", ""},
		"nothing":                    {"", "a/b/missing", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			at := func(path string) string { return filepath.Join(top, path) }
			for _, err := range []error{
				os.MkdirAll(at("a/b"), 0o755), os.Mkdir(at("links"), 0o755), os.WriteFile(at("a/b/library"), nil, 0o644),
				os.Symlink("../a/b/library", at("links/library")), os.Symlink(at("a/b"), at("links/b")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if tt.open != "" {
				if err := os.Chmod(at(tt.open), 0o777); err != nil {
					t.Fatal(err)
				}
			}
			got, err := trusted(at(tt.path))
			switch {
			case tt.why == "" && (err != nil || !strings.HasSuffix(got, "/a/b/library")):
				t.Errorf("trusted = %q, %v", got, err)
			case tt.why != "" && (err == nil || !strings.Contains(err.Error(), tt.why)):
				t.Errorf("trusted = %q, %v, want %q in it", got, err, tt.why)
			}
		})
	}
}

// TestOpenRunsNothingForeign: a library that another user could replace isn't
// loaded, and the next one that fits is.
func TestOpenRunsNothingForeign(t *testing.T) {
	testLibrary(t)
	library := built(t, "libcrypto.so.3", `
		#include <stdio.h>
		#include <stdlib.h>
		__attribute__((constructor)) static void loaded(void) { fclose(fopen(getenv("M2M_LOADED"), "w")); }`)
	mark := filepath.Join(t.TempDir(), "loaded")
	t.Setenv("M2M_LOADED", mark)
	if err := os.Chmod(filepath.Dir(library), 0o777); err != nil {
		t.Fatal(err)
	}
	l, err := Open(append([]string{library}, SystemPaths...)...)
	if err != nil || l.path == library {
		t.Errorf("Open = %v, %v", l, err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the library was loaded")
	}
	if _, err := Open(library); err == nil || !strings.Contains(err.Error(), "may be written by other users") {
		t.Errorf("Open = %v, want that other users may write", err)
	}
}
