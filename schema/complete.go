package schema

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Complete checks value against the field's attributes and returns it with
// every default filled in, as Kong does before it delivers a configuration.
// A nil value is an unset field. value has the shapes that encoding/json gives
// to an any and is not modified. The error joins every mistake, each with its
// path below path and in Kong's own words.
func (f Field) Complete(path string, value any) (any, error) {
	c := completion{}
	done := c.field(f, path, value)
	return done, errors.Join(c.mistakes...)
}

type completion struct{ mistakes []error }

func (c *completion) mistake(path, format string, args ...any) {
	c.mistakes = append(c.mistakes, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (c *completion) field(f Field, path string, value any) any {
	if value == nil {
		value = f.Default
	}
	if value == nil && f.Type == "record" && f.Required {
		value = map[string]any{} // its own fields may have defaults
	}
	if value == nil {
		if f.Required {
			c.mistake(path, "required field missing")
		}
		return nil
	}
	switch f.Type {
	case "record":
		return c.record(f, path, value)
	case "array", "set":
		return c.list(f, path, value)
	case "string":
		c.text(f, path, value)
	case "integer":
		c.integer(f, path, value)
	case "boolean":
		if _, ok := value.(bool); !ok {
			c.mistake(path, "expected a boolean")
		}
	default:
		c.mistake(path, "fields of type %s are not supported", f.Type)
	}
	return value
}

func (c *completion) record(f Field, path string, value any) any {
	given, ok := value.(map[string]any)
	if !ok {
		c.mistake(path, "expected a record")
		return value
	}
	done := map[string]any{}
	for _, sub := range f.Fields {
		if v := c.field(sub, path+"."+sub.Name, given[sub.Name]); v != nil {
			done[sub.Name] = v
		}
	}
	for _, name := range sortedKeys(given) {
		if !slices.ContainsFunc(f.Fields, func(sub Field) bool { return sub.Name == name }) {
			c.mistake(path+"."+name, "unknown field")
		}
	}
	for _, check := range f.EntityChecks {
		c.entityCheck(check, path, done)
	}
	return done
}

func (c *completion) entityCheck(check EntityCheck, path string, record map[string]any) {
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
		c.mistake(path, "exactly one of these fields must be non-empty: '%s'", strings.Join(names, "', '"))
	}
	if names := check.MutuallyExclusive; len(names) > 0 && set(names) > 1 {
		c.mistake(path, "only one or none of these fields must be set: '%s'", strings.Join(names, "', '"))
	}
	if names := check.MutuallyRequired; set(names) > 0 && set(names) < len(names) {
		c.mistake(path, "all or none of these fields must be set: '%s'", strings.Join(names, "', '"))
	}
}

func (c *completion) list(f Field, path string, value any) any {
	given, ok := value.([]any)
	if !ok {
		c.mistake(path, "expected an array")
		return value
	}
	if f.LenMin != nil && len(given) < *f.LenMin {
		c.mistake(path, "length must be at least %d", *f.LenMin)
	}
	if f.LenMax > 0 && len(given) > f.LenMax {
		c.mistake(path, "length must be at most %d", f.LenMax)
	}
	done := make([]any, len(given))
	for i, element := range given {
		done[i] = c.field(*f.Elements, fmt.Sprintf("%s[%d]", path, i), element)
		if element == nil {
			c.mistake(fmt.Sprintf("%s[%d]", path, i), "expected a %s", f.Elements.Type)
		}
	}
	return done
}

func (c *completion) text(f Field, path string, value any) {
	s, ok := value.(string)
	if !ok {
		c.mistake(path, "expected a string")
		return
	}
	least := 1
	if f.LenMin != nil {
		least = *f.LenMin
	}
	switch {
	case f.Referenceable && IsReference(s):
	case f.Referenceable && len(s) < least:
		c.mistake(path, "empty, as a vault reference that can't be resolved is")
	case len(s) < least:
		c.mistake(path, "length must be at least %d", least)
	case f.LenMax > 0 && len(s) > f.LenMax:
		c.mistake(path, "length must be at most %d", f.LenMax)
	case !strings.HasPrefix(s, f.StartsWith):
		c.mistake(path, "should start with: %s", f.StartsWith)
	case len(f.OneOf) > 0 && !slices.Contains(f.OneOf, s):
		c.mistake(path, "expected one of: %s", strings.Join(f.OneOf, ", "))
	}
}

func (c *completion) integer(f Field, path string, value any) {
	var n float64
	switch v := value.(type) {
	case float64:
		n = v
	case int: // a default, written in Go
		n = float64(v)
	default:
		c.mistake(path, "expected an integer")
		return
	}
	switch {
	case n != math.Trunc(n) || math.IsInf(n, 0):
		c.mistake(path, "expected an integer")
	case f.Between != nil && (n < float64(f.Between[0]) || n > float64(f.Between[1])):
		c.mistake(path, "value should be between %d and %d", f.Between[0], f.Between[1])
	}
}

// IsReference tells whether s is a reference into a Kong vault, which only
// Kong can resolve.
func IsReference(s string) bool {
	return strings.HasPrefix(s, "{vault://") && strings.HasSuffix(s, "}")
}
