package bundle

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/evanw/esbuild/pkg/api"
)

// mistake is an error at a place of a file.
type mistake struct {
	file         string
	line, column int // from 1; 0 without a place
	text         string
}

func (m mistake) Error() string {
	switch {
	case m.file == "":
		return m.text
	case m.line == 0:
		return m.file + ": " + m.text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.file, m.line, m.column, m.text)
}

// join returns one error of the mistakes, in the order of the files.
func join(mistakes []mistake) error {
	slices.SortStableFunc(mistakes, func(a, b mistake) int {
		return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var errs []error
	for _, m := range slices.Compact(mistakes) {
		errs = append(errs, m)
	}
	return errors.Join(errs...)
}

// mistakes returns what esbuild reports of a build.
func (r repository) mistakes(result api.BuildResult) error {
	var all []mistake
	for _, message := range result.Errors {
		all = append(all, r.mistake(message))
	}
	for _, warning := range result.Warnings {
		if warning.ID == "import-is-undefined" && warning.Location != nil && warning.Location.Namespace == "" && !installed(warning.Location.File) {
			all = append(all, r.mistake(warning))
		}
	}
	return join(all)
}

// mistake returns a message of esbuild, whose columns are bytes.
func (r repository) mistake(message api.Message) mistake {
	m := mistake{text: r.explain(message)}
	at := message.Location
	if at == nil {
		return m
	}
	m.file, m.line, m.column = r.shownSource(at.Namespace, at.File), at.Line, at.Column+1
	if at.Column <= len(at.LineText) {
		m.column = utf8.RuneCountInString(at.LineText[:at.Column]) + 1
	}
	return m
}
