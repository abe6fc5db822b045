package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"m2m-token-enricher/schema"
)

// parse returns what text says, in the shapes that encoding/json gives to an
// any.
func (f *kongFile) parse(text string) (any, error) {
	var document yaml.Node
	for _, into := range []any{new(any), &document} { // the first refuses endless aliases
		loader, err := yaml.NewLoader(strings.NewReader(text), yaml.WithUniqueKeys(false))
		if err == nil {
			err = loader.Load(into)
		}
		if wrong, ok := errors.AsType[*yaml.LoadError](err); ok && wrong.Mark.Line > 0 {
			return nil, fmt.Errorf("%s:%d: %s", f.name, wrong.Mark.Line, wrong.Message)
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	return f.value("", document.Content[0]), nil
}

// value returns what a node says, and notes the lines of all that is in it.
func (f *kongFile) value(path string, n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return f.value(path, n.Alias)
	case yaml.MappingNode:
		return f.mapping(path, n)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, element := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			f.lines[at] = element.Line
			list[i] = f.value(at, element)
		}
		return list
	}
	return scalar(n)
}

// mapping returns the members of a mapping. Its own ones replace those that it
// merges from others.
func (f *kongFile) mapping(path string, n *yaml.Node) map[string]any {
	all, own := map[string]any{}, map[string]bool{}
	for pair := range slices.Chunk(n.Content, 2) {
		if pair[0].ShortTag() == "!!merge" {
			f.merge(path, pair[1], all)
		}
	}
	for pair := range slices.Chunk(n.Content, 2) {
		name := pair[0].Value
		at := join(path, name)
		switch {
		case pair[0].ShortTag() == "!!merge":
			continue
		case own[name]:
			f.repeated = append(f.repeated, &schema.FieldError{Path: at, Problem: fmt.Sprintf("is on line %d, too; keep one", f.lines[at])})
		}
		f.lines[at] = pair[0].Line
		all[name], own[name] = f.value(at, pair[1]), true
	}
	return all
}

// merge copies the members of a mapping, or of each one in a list, into all. The
// first of a list wins.
func (f *kongFile) merge(path string, n *yaml.Node, all map[string]any) {
	from := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		from = n.Content
	}
	for _, mapping := range slices.Backward(from) {
		if merged, ok := f.value(path, mapping).(map[string]any); ok {
			maps.Copy(all, merged)
		}
	}
}

// scalar returns a number as float64, and takes YAML 1.1's yes and no for
// booleans.
func scalar(n *yaml.Node) any {
	var number float64
	var truth bool
	switch tag := n.ShortTag(); {
	case tag == "!!null":
		return nil
	case (tag == "!!int" || tag == "!!float") && n.Decode(&number) == nil:
		return number
	case (tag == "!!bool" || tag == "!!str" && n.Style == 0) && n.Decode(&truth) == nil:
		return truth
	}
	return n.Value
}
