package schema

import (
	"errors"
	"fmt"
	"slices"
)

// FieldError is an error in one field of a configuration.
type FieldError struct {
	Path    string // of the field, such as config.claims[1].name
	Problem string
}

func (e *FieldError) Error() string { return e.Path + ": " + e.Problem }

// Split returns the errors that err joins, one by one. It is empty for nil.
func Split(err error) (errs []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		errs = append(errs, Split(e)...)
	}
	return errs
}

// report collects the errors of a configuration, so that one doesn't hide
// another.
type report struct {
	errs       []error
	unreadable []string // paths of values that have a wrong type
	unknowns   []UnknownField
}

func (r *report) add(path, format string, args ...any) {
	r.errs = append(r.errs, &FieldError{path, fmt.Sprintf(format, args...)})
}

// unreadable stands for a value of a wrong type. It decodes into the zero value
// of every type.
type unreadable struct{}

func (unreadable) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// addUnreadable reports a value of a wrong type and returns what stands for it.
func (r *report) addUnreadable(path, format string, args ...any) any {
	r.unreadable = append(r.unreadable, path)
	r.add(path, format, args...)
	return unreadable{}
}

// addRule reports a broken rule, unless the field at path couldn't be read.
func (r *report) addRule(path, format string, args ...any) {
	if r.read(path) {
		r.add(path, format, args...)
	}
}

// read reports whether the field at path, and all around it, is known and had the
// right type.
func (r *report) read(path string) bool {
	return r.known(path) && !slices.ContainsFunc(r.unreadable, func(p string) bool { return within(path, p) })
}

// known reports whether neither the field at path nor what is around it is unknown.
func (r *report) known(path string) bool {
	for _, u := range r.unknowns {
		if within(path, u.Path) {
			return false
		}
	}
	return true
}

func (r *report) err() error { return errors.Join(r.errs...) }
