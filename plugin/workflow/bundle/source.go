package bundle

import (
	"path/filepath"
	"strings"
)

// What a bundle is made of beside files, as esbuild names it: NAMESPACE:PATH.
const (
	Library          = "@kinde/infrastructure"
	libraryNamespace = "kinde-library"
	nativeNamespace  = "native"
)

// isPath reports whether an import names a file and not a package.
func isPath(name string) bool {
	return name == "." || name == ".." || strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") || filepath.IsAbs(name)
}

// namespaceOf splits the name of a source in a source map.
func namespaceOf(source string) (namespace, path string) {
	if path, ok := strings.CutPrefix(source, libraryNamespace+":"); ok {
		return libraryNamespace, path
	}
	if path, ok := strings.CutPrefix(source, nativeNamespace+":"); ok {
		return nativeNamespace, path
	}
	return "", source
}

// shownSource returns a source of esbuild for people.
func (r repository) shownSource(namespace, path string) string {
	switch namespace {
	case libraryNamespace:
		return Library
	case nativeNamespace:
		return path
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.root, path)
	}
	return r.show(path)
}
