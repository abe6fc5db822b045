package schema

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// PluginSchema is the schema that the query command gives to Kong.
type PluginSchema struct {
	Name   string `json:"name"`
	Fields Fields `json:"fields"`
}

// ForKong returns the schema of the plugin called name. The plugin can't be
// attached to a consumer, because nobody is authenticated on a token route yet. It
// serves HTTP only.
func ForKong(name string) PluginSchema {
	return PluginSchema{Name: name, Fields: Fields{
		{Name: "consumer", Type: "foreign", Reference: "consumers", Eq: &null{}},
		{Name: "protocols", Type: "set", Required: true, Default: []any{"http", "https"},
			Elements: &Field{Type: "string", OneOf: []string{"http", "https"}}},
		root(),
	}}
}

// root is the config record. The tags of [Config], and of the types in it, have the
// default, Kong's own rules and the description of each field, by the names of the
// attributes of [Field]. It must not be modified.
var root = sync.OnceValue(func() Field { return fieldOf("config", reflect.TypeFor[Config](), `required:"true"`) })

// entityChecks are the rules over several fields of a record.
var entityChecks = map[reflect.Type][]EntityCheck{
	reflect.TypeFor[Config]():  {{AtLeastOneOf: []string{"claims", "workflow"}}},
	reflect.TypeFor[Signing](): {{OnlyOneOf: []string{"jwks_file", "jwks"}}},
	reflect.TypeFor[Redis](): {
		{OnlyOneOf: []string{"host", "sentinel_master", "cluster_nodes"}},
		{MutuallyRequired: []string{"sentinel_master", "sentinel_nodes"}},
		{MutuallyRequired: []string{"ssl_cert_file", "ssl_key_file"}},
	},
	reflect.TypeFor[Claim](): {
		{OnlyOneOf: []string{"from", "value", "expr"}},
		{MutuallyExclusive: []string{"value", "default"}},
	},
}

var kongTypes = map[reflect.Kind]string{
	reflect.Struct: "record", reflect.Slice: "array", reflect.Map: "map", reflect.String: "string", reflect.Int: "integer", reflect.Float64: "number", reflect.Bool: "boolean",
}

// fieldOf returns the field called name of a Go type, with the rules in its tag.
func fieldOf(name string, typ reflect.Type, tag reflect.StructTag) Field {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	f := Field{
		Name: name, Type: kongTypes[typ.Kind()], Description: tag.Get("description"),
		Required: tag.Get("required") == "true", OneOf: list(tag.Get("one_of")), StartsWith: tag.Get("starts_with"),
		Between: numbers(tag.Get("between")), Encrypted: typ == reflect.TypeFor[Secret](),
	}
	f.Referenceable = f.Encrypted || tag.Get("referenceable") == "true"
	for _, n := range numbers(tag.Get("len_min")) {
		least := int(n)
		f.LenMin = &least
	}
	for _, n := range numbers(tag.Get("len_max")) {
		f.LenMax = int(n)
	}
	switch f.Type {
	case "record":
		f.Fields, f.EntityChecks = fieldsOf(name, typ, tag), entityChecks[typ]
	case "array": // the values of one_of are those of its elements
		elements := fieldOf("", typ.Elem(), "")
		elements.OneOf, f.OneOf = f.OneOf, nil
		f.Elements = &elements
	case "map": // len_max is that of its values
		values := fieldOf("", typ.Elem(), "")
		values.LenMax, f.LenMax = f.LenMax, 0
		f.Keys, f.Values = &Field{Type: "string"}, &values
	}
	if text, ok := tag.Lookup("default"); ok {
		f.Default = f.parse(text)
	}
	return f
}

// fieldsOf returns the fields of a record called name. The record's own tag may have
// the default of a field in it, and NAME in a description stands for the record.
func fieldsOf(name string, record reflect.Type, tag reflect.StructTag) (fields Fields) {
	for goField := range record.Fields() {
		own := goField.Tag.Get("json")
		if own == "-" {
			continue
		}
		f := fieldOf(own, goField.Type, goField.Tag)
		f.Description = strings.ReplaceAll(f.Description, "NAME", name)
		if text, ok := tag.Lookup(own); ok {
			f.Default = f.parse(text)
		}
		fields = append(fields, f)
	}
	return fields
}

// parse reads a value of the field in a tag.
func (f Field) parse(text string) any {
	switch f.Type {
	case "integer":
		return int(numbers(text)[0])
	case "number":
		return numbers(text)[0]
	case "boolean":
		return text == "true"
	case "array":
		values := []any{}
		for _, s := range list(text) {
			values = append(values, s)
		}
		return values
	}
	return text
}

// list splits a list in a tag, and numbers reads one of numbers.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func numbers(text string) (all []float64) {
	for _, s := range list(text) {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			panic(err) // a tag in this package is wrong
		}
		all = append(all, n)
	}
	return all
}
