package bundle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// Limits of what is read.
const (
	maxFile   = 1 << 20 // bytes of a file
	maxFiles  = 2000
	maxInputs = 16 << 20 // bytes of all files
)

// loaders are the files that a workflow may import, by the end of their names.
var loaders = map[string]api.Loader{
	".ts": api.LoaderTS, ".mts": api.LoaderTS, ".cts": api.LoaderTS, ".tsx": api.LoaderTSX,
	".js": api.LoaderJS, ".mjs": api.LoaderJS, ".cjs": api.LoaderJS, ".jsx": api.LoaderJSX,
	".json": api.LoaderJSON,
}

// repository says which files may become part of a workflow: code and JSON in
// the workflow's repository, and in a node_modules of the repository's folder or
// of a folder above it. What counts is where a file really is, after all
// symbolic links.
type repository struct {
	root  string // without symbolic links
	shown string // as the operator wrote it, absolute
}

// repositoryOf returns the repository of a workflow's file: the nearest folder
// above it with a kinde.json, else the nearest with a package.json, else the
// file's own.
func repositoryOf(file string) (r repository, err error) {
	r.shown = ascend(filepath.Dir(file), marker)
	if r.shown == "" {
		r.shown = ascend(filepath.Dir(file), "package.json")
	}
	if r.shown == "" {
		r.shown = filepath.Dir(file)
	}
	r.root, err = filepath.EvalSymlinks(r.shown)
	return r, err
}

// locate returns where path really is, or why a workflow may not use it.
func (r repository) locate(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s can't be read: %w", r.show(path), cause(err))
	case !r.has(real):
		return "", fmt.Errorf("%s is outside of the repository %s: a workflow is made only of files in it and of packages in its node_modules", path, r.shown)
	case !isModule(real):
		return "", fmt.Errorf("%s can't be a part of a workflow: want .ts, .tsx, .js, .jsx, .mjs, .cjs or .json", r.show(path))
	}
	return real, nil
}

func (r repository) has(path string) bool {
	if within(r.root, path) {
		return true
	}
	for dir := r.root; filepath.Dir(dir) != dir; {
		dir = filepath.Dir(dir)
		if within(filepath.Join(dir, "node_modules"), path) {
			return true
		}
	}
	return false
}

func isModule(path string) bool {
	_, ok := loaders[extension(path)]
	return ok
}

func extension(path string) string { return strings.ToLower(filepath.Ext(path)) }

// installed reports whether path is in a package and not the workflow's own.
func installed(path string) bool {
	return slices.Contains(strings.Split(filepath.ToSlash(path), "/"), "node_modules")
}

// show returns path for people: relative if the repository is in the working
// folder, else absolute.
func (r repository) show(path string) string {
	if rel, err := filepath.Rel(r.root, path); err == nil {
		path = filepath.Join(r.shown, rel)
	}
	if wd, err := os.Getwd(); err == nil && within(wd, r.shown) {
		if rel, err := filepath.Rel(wd, path); err == nil {
			return rel
		}
	}
	return path
}

// readFile returns the content of a file with at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	if !regular(path) { // the next line would wait for a pipe's writer
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d KiB", path, maxFile>>10)
	}
	return text, err
}

// cause returns err without the path that os adds.
func cause(err error) error {
	if e := (*os.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
