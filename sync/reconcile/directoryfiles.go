package reconcile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"m2m-token-enricher/schema"
)

// sourceFile is a file in one of the folders.
type sourceFile struct {
	kind   schema.Kind
	path   string
	info   fs.FileInfo // of a link's target
	unread string      // why the file isn't read, "" if it is
}

// maxDepth is how deep folders may be nested. Links can form a loop.
const maxDepth = 16

// files lists the files in the folders, sorted by their paths, and what beside the
// folders may be meant for them.
func (d Directory) files() ([]sourceFile, error) {
	var files []sourceFile
	found := false
	for _, kind := range schema.Kinds {
		root := filepath.Join(d.Path, kind.Short())
		if _, err := os.Lstat(root); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found = true
		err := list(root, maxDepth, func(path string, info fs.FileInfo) {
			files = append(files, sourceFile{kind, path, info, whyUnread(path, info)})
		})
		if err != nil {
			return nil, err // it names the path
		}
	}
	if !found {
		return nil, fmt.Errorf("%s has none of the folders app, org and user", d.Path)
	}
	misplaced, err := d.misplaced()
	files = append(files, misplaced...)
	slices.SortFunc(files, func(a, b sourceFile) int { return strings.Compare(a.path, b.path) })
	return files, err
}

// list calls add with every file below folder. It follows links, because
// Kubernetes mounts a ConfigMap with them, and skips folders that begin with a
// dot. A broken link is an error.
func list(folder string, depth int, add func(path string, info fs.FileInfo)) error {
	if depth == 0 {
		return fmt.Errorf("%s: folders are nested more than %d deep", folder, maxDepth)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		info, err := os.Stat(path)
		hidden := strings.HasPrefix(entry.Name(), ".")
		switch {
		case err != nil && (hidden || format(path) == "" && entry.Type()&fs.ModeSymlink == 0):
			continue // it went away, such as the lock of an editor
		case err != nil:
			return err
		case !info.IsDir():
			add(path, info)
		case !hidden:
			if err := list(path, depth-1, add); err != nil {
				return err
			}
		}
	}
	return nil
}

// whyUnread returns why a file in a folder isn't read, "" if it is.
func whyUnread(path string, info fs.FileInfo) string {
	switch {
	case strings.HasPrefix(filepath.Base(path), "."):
		return "its name begins with a dot"
	case format(path) == "":
		return "only .json and .jsonl files are read"
	case !info.Mode().IsRegular():
		return "it is not a regular file"
	}
	return ""
}

// misplaced lists what stands beside the folders and may be meant for them: files
// with records, and folders whose names begin alike.
func (d Directory) misplaced() (files []sourceFile, err error) {
	entries, err := os.ReadDir(d.Path)
	for _, entry := range entries {
		name := entry.Name()
		isFolder := slices.ContainsFunc(schema.Kinds, func(k schema.Kind) bool { return k.Short() == name })
		if isFolder || strings.HasPrefix(name, ".") {
			continue
		}
		switch regular := entry.Type().IsRegular(); {
		case regular && format(name) != "":
			files = append(files, sourceFile{path: filepath.Join(d.Path, name), unread: "it is in none of the folders app, org and user"})
		case !regular && beginsAlike(name):
			files = append(files, sourceFile{path: filepath.Join(d.Path, name), unread: "only the folders app, org and user are read"})
		}
	}
	return files, err
}

// beginsAlike reports whether a name begins like one of the folders.
func beginsAlike(name string) bool {
	return slices.ContainsFunc(schema.Kinds, func(k schema.Kind) bool { return strings.HasPrefix(strings.ToLower(name), k.Short()) })
}

// format returns the format of a file, "" if it isn't read.
func format(path string) string {
	switch extension := strings.ToLower(filepath.Ext(path)); extension {
	case ".json", ".jsonl":
		return extension
	}
	return ""
}
