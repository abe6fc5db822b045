package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"m2m-token-enricher/schema"
)

// document is one YAML or JSON document of a file.
type document struct {
	name     string         // of the file
	content  any            // in the shapes that encoding/json gives to an any, with Unknown values
	lines    map[string]int // of each value, by its path
	repeated []*schema.FieldError
	skipped  []skipped
}

// line returns where the value at path is or, if it is missing, what is around
// it.
func (d *document) line(path string) int {
	for path != "" && d.lines[path] == 0 {
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return max(1, d.lines[path])
}

// inOrder returns errors with their lines, in the order of these.
func (d *document) inOrder(all []*schema.FieldError) (located []error) {
	slices.SortStableFunc(all, func(x, y *schema.FieldError) int { return d.line(x.Path) - d.line(y.Path) })
	for _, e := range all {
		located = append(located, fmt.Errorf("%s:%d: %w", d.name, d.line(e.Path), e))
	}
	return located
}

// parseDocuments returns the documents in text, which is that of the file name.
func parseDocuments(name, text string) (all []*document, err error) {
	nodes, err := yaml.NewLoader(strings.NewReader(blankTemplates(text)), yaml.WithUniqueKeys(false))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for {
		var node yaml.Node
		err := nodes.Load(&node)
		if err == nil {
			err = node.Load(new(any), yaml.WithUniqueKeys(false)) // which refuses endless aliases
		}
		if wrong, ok := errors.AsType[*yaml.LoadError](err); ok && wrong.Mark.Line > 0 {
			return nil, fmt.Errorf("%s:%d: %s", name, wrong.Mark.Line, wrong.Message)
		}
		switch {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(node.Content) > 0 {
			d := &document{name: name, lines: map[string]int{"": node.Content[0].Line}}
			d.content = d.value("", node.Content[0])
			all = append(all, d)
		}
	}
}

// template is what decK and other programs fill in before Kong reads a file, such as
// ${{ env "DECK_PORT" | toInt }}. It stands where YAML would read another value.
var template = regexp.MustCompile(`\$\{\{.*?\}\}`)

// blank stands for a template while the text is parsed. Neither YAML nor JSON gives
// the character a meaning.
const blank = "\ufdd0"

// blankTemplates replaces every template in text.
func blankTemplates(text string) string { return template.ReplaceAllLiteralString(text, blank) }

// value returns what a node says, and notes the lines of all that is in it.
func (d *document) value(path string, n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return d.value(path, n.Alias)
	case yaml.MappingNode:
		return d.mapping(path, n)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, element := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			d.lines[at] = element.Line
			list[i] = d.value(at, element)
		}
		return list
	}
	return scalar(n)
}

// mapping returns the members of a mapping. Its own ones replace those that it
// merges from others.
func (d *document) mapping(path string, n *yaml.Node) map[string]any {
	all, own := map[string]any{}, map[string]bool{}
	for pair := range slices.Chunk(n.Content, 2) {
		if pair[0].ShortTag() == "!!merge" {
			d.merge(path, pair[1], all)
		}
	}
	for pair := range slices.Chunk(n.Content, 2) {
		name := pair[0].Value
		at := join(path, name)
		switch {
		case pair[0].ShortTag() == "!!merge" || strings.Contains(name, blank):
			continue // the name of a template isn't known
		case own[name]:
			d.repeated = append(d.repeated, &schema.FieldError{Path: at, Problem: fmt.Sprintf("is on line %d, too; keep one", d.lines[at])})
		}
		d.lines[at] = pair[0].Line
		all[name], own[name] = d.value(at, pair[1]), true
	}
	return all
}

// merge copies the members of a mapping, or of each one in a list, into all. The
// first of a list wins.
func (d *document) merge(path string, n *yaml.Node, all map[string]any) {
	from := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		from = n.Content
	}
	for _, mapping := range slices.Backward(from) {
		if merged, ok := d.value(path, mapping).(map[string]any); ok {
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
	case strings.Contains(n.Value, blank):
		return schema.Unknown{Where: "filled in later, by ${{ … }}"}
	case tag == "!!null":
		return nil
	case (tag == "!!int" || tag == "!!float") && n.Decode(&number) == nil:
		return number
	case (tag == "!!bool" || tag == "!!str" && n.Style == 0) && n.Decode(&truth) == nil:
		return truth
	}
	return n.Value
}
