package enrich

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/expression"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// mapping is how one claim gets its value.
type mapping struct {
	name     string
	kind     schema.Kind // "" for a fixed value
	property string
	typ      string
	fallback jsontext.Value // for a missing property, or the fixed value; nil if the property is required

	expression *expression.Expression // nil if the value isn't computed
}

// reads returns the sources that the expression reads.
func (m mapping) reads() []string {
	if m.expression == nil {
		return nil
	}
	return m.expression.Reads()
}

// newMappings prepares the claims of cfg. The error joins every error, each with its
// path.
func newMappings(cfg *schema.Config) ([]mapping, error) {
	var errs []error
	list := make([]mapping, len(cfg.Claims))
	for i, c := range cfg.Claims {
		path := fmt.Sprintf("config.claims[%d].", i)
		report := func(field string, err error) {
			for _, err := range schema.Split(err) {
				errs = append(errs, &schema.FieldError{Path: path + field, Problem: err.Error()})
			}
		}
		kind, property := schema.Source(c.From)
		list[i] = mapping{name: c.Name, kind: kind, property: property, typ: c.Type}
		if c.Expr != "" {
			typ := c.Type
			if !cfg.Knows(path + "type") {
				typ = schema.TypeJSON // which every value has
			}
			compiled, err := expression.Compile(c.Expr, typ)
			list[i].expression = compiled
			report("expr", err)
		}
		field, text := "value", c.Value
		if c.Default != nil {
			field, text = "default", *c.Default
		} else if text == "" {
			continue
		}
		value, err := convert(c.Type, text)
		list[i].fallback = value
		report(field, err)
	}
	return list, errors.Join(errs...)
}

// convert returns text as JSON of type typ. Errors don't repeat the text.
func convert(typ, text string) (jsontext.Value, error) {
	switch typ {
	case schema.TypeNumber:
		if v := jsontext.Value(text); v.Kind() == '0' && v.IsValid() {
			return bytes.TrimSpace(v), nil
		}
	case schema.TypeBoolean:
		if value, ok := schema.Boolean(text); ok {
			return jsontext.Value(strconv.FormatBool(value)), nil
		}
	case schema.TypeStrings:
		return convertStrings(text)
	case schema.TypeJSON:
		if v := jsontext.Value(text); len(v) <= schema.MaxPropertySize && v.IsValid() && v.Compact() == nil {
			return v, nil
		}
	default:
		if v, err := splice.Quote(text); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("not of type %s", typ)
}

// isOfType reports whether a JSON value is of type typ.
func isOfType(typ string, value jsontext.Value) bool {
	switch typ {
	case schema.TypeNumber:
		return value.Kind() == '0'
	case schema.TypeBoolean:
		return value.Kind() == 't' || value.Kind() == 'f'
	case schema.TypeStrings:
		_, ok := splice.Texts(value)
		return ok
	case schema.TypeJSON:
		return true
	}
	return value.Kind() == '"'
}

func convertStrings(text string) (jsontext.Value, error) {
	list := jsontext.Value("[")
	if text != "" {
		for i, element := range strings.Split(text, ",") {
			quoted, err := splice.Quote(strings.TrimSpace(element))
			if err != nil || len(quoted) == len(`""`) {
				return nil, fmt.Errorf("not of type %s", schema.TypeStrings)
			}
			if i > 0 {
				list = append(list, ',')
			}
			list = append(list, quoted...)
		}
	}
	return append(list, ']'), nil
}

// same reports whether two JSON values are written alike, apart from white space
// and from escapes in a string. Numbers are compared as written, because 1 and 1.0
// are the same only to some readers.
func same(a, b jsontext.Value) bool {
	a, b = bytes.Trim(a, " \t\r\n"), bytes.Trim(b, " \t\r\n")
	if s, ok := splice.Text(a); ok {
		t, ok := splice.Text(b)
		return ok && s == t
	}
	a, b = bytes.Clone(a), bytes.Clone(b)
	return a.Compact() == nil && b.Compact() == nil && bytes.Equal(a, b)
}
