package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/schema"
)

// maxKongFile is how large a file with a configuration may be.
const maxKongFile = 64 << 20

// block is the configuration of the plugin at one place of a file.
type block struct {
	in     *document
	path   string // such as services[0].plugins[0]
	title  string // the path, or how people call the place
	config any

	allRoutes bool // Kong runs the plugin on every route, as far as the document says

	shared   map[string]string    // paths of the values that come from elsewhere in the document, by the member of config
	mistakes []*schema.FieldError // beside config, with their paths in the document
}

// kongFile is what a file has.
type kongFile struct {
	blocks  []block   // in the order of their lines
	skipped []skipped // what the plugin's commands don't read
}

// noPlugin is said of Kong's configuration without the plugin.
const noPlugin = "no plugin named " + plugin.Name

// skipped is an object in a file that isn't a configuration of the plugin.
type skipped struct {
	place string // such as plugin.yaml:12
	what  string
}

// readKongFile returns every configuration of the plugin in a file. No configuration
// is an error. Every command with -c reads its file by this function.
func readKongFile(path string) (kongFile, error) {
	text, err := readText(path, maxKongFile)
	if err != nil {
		return kongFile{}, err
	}
	documents, err := parseDocuments(inputName(path), text)
	if err != nil {
		return kongFile{}, err
	}
	var file kongFile
	for _, d := range documents {
		blocks := d.find()
		slices.SortStableFunc(blocks, func(a, b block) int { return d.line(a.path) - d.line(b.path) })
		file.blocks = append(file.blocks, blocks...)
		file.skipped = append(file.skipped, d.skipped...)
	}
	if len(file.blocks) > 0 {
		return file, nil
	}
	return kongFile{}, file.missing(inputName(path))
}

// missing is the error of a file without the plugin. It says what the file has instead.
func (f kongFile) missing(path string) error {
	problem := fmt.Sprintf("%s: %s in it", path, noPlugin)
	for _, s := range f.skipped {
		if s.what != noPlugin {
			return fmt.Errorf("%s; %s: %s", problem, s.place, s.what)
		}
	}
	return errors.New(problem)
}

// located returns the errors in the configuration, and those about fields that are
// written twice, with their lines and in this order.
func (b block) located(err error) []error {
	all := slices.Clone(b.mistakes)
	for _, e := range b.in.repeated {
		if b.owns(e.Path) {
			all = append(all, e)
		}
	}
	for _, err := range schema.Split(err) {
		path, problem := "config", err.Error()
		if e, ok := errors.AsType[*schema.FieldError](err); ok {
			path, problem = e.Path, e.Problem
		}
		all = append(all, &schema.FieldError{Path: b.place(path), Problem: problem})
	}
	return b.in.inOrder(all)
}

// unknown returns what follows from fields whose values the file doesn't have, with
// their lines and in this order.
func (b block) unknown(fields []schema.UnknownField, result string) []error {
	var all []*schema.FieldError
	for _, f := range fields {
		all = append(all, &schema.FieldError{Path: b.place(f.Path), Problem: fmt.Sprintf("%s, because its value is %s", result, f.Where)})
	}
	return b.in.inOrder(all)
}

// place returns the path in the document of a field of the configuration.
func (b block) place(field string) string {
	member, rest := member(strings.TrimPrefix(field, "config."))
	if from, ok := b.shared[member]; ok {
		return from + rest
	}
	return join(b.path, field)
}

// owns reports whether a path in the document is that of a field of the
// configuration.
func (b block) owns(path string) bool {
	if field, ok := strings.CutPrefix(path, join(b.path, "config.")); ok {
		name, _ := member(field)
		return b.shared[name] == ""
	}
	for _, from := range b.shared {
		if within(path, from) {
			return true
		}
	}
	return false
}

// within reports whether path is outer, or is in it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || strings.ContainsAny(rest[:1], ".["))
}

// member splits a path behind its first name.
func member(path string) (name, rest string) {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }
