package schema

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Complete checks value against the field's attributes and returns it with
// every default filled in, as Kong does before it delivers a configuration. A
// nil value is an unset field. value has the shapes that encoding/json gives to
// an any, and is not modified. The error joins every error, each a
// [*FieldError] in Kong's own words.
func (f Field) Complete(path string, value any) (any, error) {
	r := &report{}
	return r.field(f, path, value), r.err()
}

func (r *report) field(f Field, path string, value any) any {
	if unknown, ok := value.(Unknown); ok {
		return r.unknown(f, path, unknown)
	}
	if value == nil {
		value = f.Default
	}
	if value == nil && f.Type == "record" && f.Required {
		value = map[string]any{} // its own fields may have defaults
	}
	if value == nil {
		if f.Required {
			r.add(path, "required field missing")
		}
		return nil
	}
	switch f.Type {
	case "record":
		return r.record(f, path, value)
	case "array", "set":
		return r.list(f, path, value)
	case "map":
		return r.table(f, path, value)
	case "string":
		return r.text(f, path, value)
	case "integer", "number":
		return r.number(f, path, value)
	case "boolean":
		if _, ok := value.(bool); !ok {
			return r.addUnreadable(path, "expected a boolean%s", reference(value))
		}
		return value
	}
	return r.addUnreadable(path, "fields of type %s are not supported", f.Type)
}

// unknown notes the place of an unknown value. It returns the default of the field,
// and nothing of the field's rules is broken.
func (r *report) unknown(f Field, path string, value Unknown) any {
	r.unknowns = append(r.unknowns, UnknownField{path, value.Where})
	if complete := new(report).field(f, path, nil); complete != nil {
		return complete
	}
	return unreadable{}
}

func (r *report) record(f Field, path string, value any) any {
	given, ok := value.(map[string]any)
	if !ok {
		return r.addUnreadable(path, "expected a record")
	}
	complete := map[string]any{}
	var names []string
	for _, sub := range f.Fields {
		names = append(names, sub.Name)
		if v := r.field(sub, path+"."+sub.Name, given[sub.Name]); v != nil {
			complete[sub.Name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			r.add(path+"."+name, "unknown field%s", DidYouMean(name, names))
		}
	}
	for _, check := range f.EntityChecks {
		fields := slices.Concat(check.OnlyOneOf, check.AtLeastOneOf, check.MutuallyExclusive, check.MutuallyRequired)
		if !slices.ContainsFunc(fields, func(name string) bool { return !r.known(path + "." + name) }) {
			r.entityCheck(check, path, complete)
		}
	}
	return complete
}

func (r *report) entityCheck(check EntityCheck, path string, record map[string]any) {
	set := func(names []string) (n int) {
		for _, name := range names {
			if list, ok := record[name].([]any); ok && len(list) == 0 {
				continue
			}
			if v := record[name]; v != nil && v != "" {
				n++
			}
		}
		return n
	}
	if names := check.OnlyOneOf; len(names) > 0 && set(names) != 1 {
		r.add(path, "exactly one of these fields must be non-empty: '%s'", strings.Join(names, "', '"))
	}
	if names := check.AtLeastOneOf; len(names) > 0 && set(names) == 0 {
		r.add(path, "at least one of these fields must be non-empty: '%s'", strings.Join(names, "', '"))
	}
	if names := check.MutuallyExclusive; len(names) > 0 && set(names) > 1 {
		r.add(path, "only one or none of these fields must be set: '%s'", strings.Join(names, "', '"))
	}
	if names := check.MutuallyRequired; set(names) > 0 && set(names) < len(names) {
		r.add(path, "all or none of these fields must be set: '%s'", strings.Join(names, "', '"))
	}
}

func (r *report) list(f Field, path string, value any) any {
	given, ok := value.([]any)
	if !ok {
		return r.addUnreadable(path, "expected an array")
	}
	if f.LenMin != nil && len(given) < *f.LenMin {
		r.add(path, "length must be at least %d", *f.LenMin)
	}
	if f.LenMax > 0 && len(given) > f.LenMax {
		r.add(path, "length must be at most %d", f.LenMax)
	}
	complete := make([]any, len(given))
	for i, element := range given {
		at := fmt.Sprintf("%s[%d]", path, i)
		if element == nil {
			complete[i] = r.addUnreadable(at, "expected a %s", f.Elements.Type)
		} else {
			complete[i] = r.field(*f.Elements, at, element)
		}
	}
	return complete
}

// table checks a map. Its keys are an operator's own, so no key is unknown.
func (r *report) table(f Field, path string, value any) any {
	given, ok := value.(map[string]any)
	if !ok {
		return r.addUnreadable(path, "expected a map")
	}
	complete := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		at := path + "." + key
		r.field(*f.Keys, at, key)
		if given[key] == nil {
			complete[key] = r.addUnreadable(at, "expected a %s", f.Values.Type)
		} else {
			complete[key] = r.field(*f.Values, at, given[key])
		}
	}
	return complete
}

func (r *report) text(f Field, path string, value any) any {
	s, ok := value.(string)
	if !ok {
		return r.addUnreadable(path, "expected a string")
	}
	least := 1
	if f.LenMin != nil {
		least = *f.LenMin
	}
	switch {
	case f.Referenceable && IsReference(s):
	case IsReference(s):
		return r.addUnreadable(path, "%s", unresolved)
	case f.Referenceable && len(s) < least:
		r.add(path, "empty, as a vault reference that can't be resolved is")
	case len(s) < least:
		r.add(path, "length must be at least %d", least)
	case f.LenMax > 0 && len(s) > f.LenMax:
		r.add(path, "length must be at most %d", f.LenMax)
	case !strings.HasPrefix(s, f.StartsWith):
		r.add(path, "should start with: %s%s", f.StartsWith, didYouMeanSource(s, Kind(strings.TrimSuffix(f.StartsWith, "."))))
	case len(f.OneOf) > 0 && !slices.Contains(f.OneOf, s):
		r.add(path, "expected one of: %s%s", strings.Join(f.OneOf, ", "), DidYouMean(s, f.OneOf))
	}
	return s
}

// number checks an integer or another number.
func (r *report) number(f Field, path string, value any) any {
	n := math.NaN()
	switch v := value.(type) {
	case float64:
		n = v
	case int: // a default, written in Go
		n = float64(v)
	}
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0), f.Type == "integer" && n != math.Trunc(n):
		return r.addUnreadable(path, "expected %s%s", numberKinds[f.Type], reference(value))
	case f.Between != nil && (n < f.Between[0] || n > f.Between[1]):
		return r.addUnreadable(path, "value should be between %.0f and %.0f", f.Between[0], f.Between[1])
	}
	return value
}

// numberKinds are the types of numbers as Kong's messages call them.
var numberKinds = map[string]string{"integer": "an integer", "number": "a number"}

// unresolved is said of a vault reference in a field without Referenceable.
const unresolved = "Kong resolves no vault reference in this field; write the value itself"

// reference adds to a problem that value is a vault reference.
func reference(value any) string {
	if s, ok := value.(string); ok && IsReference(s) {
		return "; " + unresolved
	}
	return ""
}
