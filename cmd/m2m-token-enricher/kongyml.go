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

// located returns the errors in the configuration, and those about fields that are
// written twice, with their lines and in this order.
func (b block) located(err error) (located []error) {
	var all []*schema.FieldError
	for _, e := range b.file.repeated {
		if strings.HasPrefix(e.Path, join(b.path, "config.")) {
			all = append(all, e)
		}
	}
	for _, err := range schema.Split(err) {
		path, problem := "config", err.Error()
		if e, ok := errors.AsType[*schema.FieldError](err); ok {
			path, problem = e.Path, e.Problem
		}
		all = append(all, &schema.FieldError{Path: join(b.path, path), Problem: problem})
	}
	slices.SortStableFunc(all, func(x, y *schema.FieldError) int { return b.file.line(x.Path) - b.file.line(y.Path) })
	for _, e := range all {
		located = append(located, fmt.Errorf("%s:%d: %w", b.file.name, b.file.line(e.Path), e))
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
