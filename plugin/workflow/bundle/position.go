package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/dop251/goja/parser"
	"github.com/go-sourcemap/sourcemap"
)

// positions finds the place in a file for a place in the bundle.
type positions struct {
	name      string // of the bundle; goja resolves the names of the sources against it
	code      []byte
	sourceMap []byte
	consumer  *sourcemap.Consumer
}

// positions reads the source map and names its sources as people know them.
func (o output) positions() (*positions, error) {
	var fields map[string]any
	if err := json.Unmarshal(o.sourceMap, &fields); err != nil {
		return nil, fmt.Errorf("esbuild made no source map: %w", err)
	}
	sources, _ := fields["sources"].([]any)
	p := &positions{name: "workflow.js", code: o.code}
	for i, source := range sources {
		name, _ := source.(string)
		if unescaped, err := url.PathUnescape(name); err == nil { // esbuild writes URLs
			name = unescaped
		}
		shown := o.repository.shownSource(namespaceOf(name))
		if filepath.IsAbs(shown) {
			p.name = "/workflow.js"
		}
		sources[i] = (&url.URL{Path: filepath.ToSlash(shown)}).String()
	}
	var err error
	if p.sourceMap, err = json.Marshal(fields); err == nil {
		p.consumer, err = sourcemap.Parse("", p.sourceMap)
	}
	return p, err
}

// at returns a mistake at an offset of the bundle.
func (p *positions) at(offset int, text string) mistake {
	before := string(p.code[:max(0, min(offset, len(p.code)))])
	line := strings.Count(before, "\n") + 1
	return p.atLine(line, len(before)-strings.LastIndexByte(before, '\n')-1, text)
}

// atLine returns a mistake at a line of the bundle, from 1, and a column, from 0.
func (p *positions) atLine(line, column int, text string) mistake {
	source, _, line, column, ok := p.consumer.Source(line, column)
	if !ok {
		return mistake{text: text}
	}
	if name, err := url.PathUnescape(source); err == nil {
		source = strings.TrimPrefix(name, "./")
	}
	return mistake{source, line, column + 1, text}
}

// syntaxError returns the mistakes that goja's parser found in the bundle.
func (p *positions) syntaxError(err error) error {
	list := parser.ErrorList{}
	if !errors.As(err, &list) {
		return err
	}
	var all []mistake
	for _, e := range list {
		all = append(all, p.atLine(e.Position.Line, e.Position.Column-1, "the runtime doesn't have this syntax: "+e.Message))
	}
	return join(all)
}
