package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/schema"
)

// block is the configuration of the plugin at one place of a kong.yml.
type block struct {
	file   *kongFile
	path   string // such as services[0].plugins[0]
	config any
}

// readBlocks returns every configuration of the plugin in a kong.yml, in the
// order of their lines. No configuration is an error.
func readBlocks(path string) ([]block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err // it names the path
	}
	file := &kongFile{name: path, lines: map[string]int{}}
	declared, err := file.parse(string(text))
	if err != nil {
		return nil, err
	}
	blocks := file.find("", declared)
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s: no plugin named %s in it", path, plugin.Name)
	}
	slices.SortStableFunc(blocks, func(a, b block) int { return file.line(a.path) - file.line(b.path) })
	return blocks, nil
}

// located adds to errors in the configuration their places in the file, and
// returns them in the order of their lines. It adds errors about fields that are
// written twice.
func (b block) located(errs []error) (located []error) {
	type placed struct {
		line int
		err  error
	}
	var all []placed
	for _, err := range b.file.repeated {
		if strings.HasPrefix(err.Path, join(b.path, "config.")) {
			all = append(all, placed{b.file.line(err.Path), err})
		}
	}
	for _, err := range errs {
		wrong := &schema.FieldError{Path: "config", Problem: err.Error()}
		if e, ok := errors.AsType[*schema.FieldError](err); ok {
			wrong = e
		}
		path := join(b.path, wrong.Path)
		all = append(all, placed{b.file.line(path), &schema.FieldError{Path: path, Problem: wrong.Problem}})
	}
	slices.SortStableFunc(all, func(a, b placed) int { return a.line - b.line })
	for _, p := range all {
		located = append(located, fmt.Errorf("%s:%d: %w", b.file.name, p.line, p.err))
	}
	return located
}

// kongFile is a declarative configuration of Kong, as YAML or JSON.
type kongFile struct {
	name     string
	lines    map[string]int // of each value, by its path
	repeated []*schema.FieldError
}

// line returns where the value at path is or, if it is missing, what is around
// it.
func (f *kongFile) line(path string) int {
	for path != "" && f.lines[path] == 0 {
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return max(1, f.lines[path])
}

// find finds the plugin wherever Kong allows it: at the top, on services and on
// routes.
func (f *kongFile) find(path string, value any) (found []block) {
	switch v := value.(type) {
	case map[string]any:
		if v["name"] == plugin.Name {
			return []block{{f, path, v["config"]}}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			found = append(found, f.find(join(path, name), v[name])...)
		}
	case []any:
		for i, element := range v {
			found = append(found, f.find(fmt.Sprintf("%s[%d]", path, i), element)...)
		}
	}
	return found
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }
