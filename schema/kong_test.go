package schema

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

// TestKongStarts holds the schema against what was seen to stop a real Kong.
func TestKongStarts(t *testing.T) {
	text, err := json.Marshal(ForKong("m2m-token-enricher").Fields)
	if err != nil {
		t.Fatal(err)
	}
	var fields Fields // decodes strictly: no attribute that Kong doesn't know
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	if len(fields) != 3 || fields[2].Name != "config" {
		t.Fatalf("fields: %s", text)
	}
	for _, f := range fields {
		checkField(t, f.Name, f)
	}
	if bytes.Contains(text, []byte(`"required":null`)) {
		t.Error("required null makes a field required")
	}
}

func checkField(t *testing.T, path string, f Field) {
	if n := len(f.Description); n != 0 && (n < 10 || n > 500) {
		t.Errorf("%s: a description of %d characters", path, n)
	}
	if f.Default != nil {
		if _, err := f.Complete(path, f.Default); err != nil {
			t.Errorf("the default breaks the field's own rules: %v", err)
		}
	}
	names := map[string]bool{}
	for _, sub := range f.Fields {
		if sub.Description == "" {
			t.Errorf("%s.%s: no description", path, sub.Name)
		}
		names[sub.Name] = true
		checkField(t, path+"."+sub.Name, sub)
	}
	for _, check := range f.EntityChecks {
		for _, name := range slices.Concat(check.OnlyOneOf, check.AtLeastOneOf, check.MutuallyExclusive, check.MutuallyRequired) {
			if !names[name] {
				t.Errorf("%s: an entity check names %q, which Kong would accept silently", path, name)
			}
		}
	}
	for part, of := range map[string]*Field{"[]": f.Elements, " keys": f.Keys, " values": f.Values} {
		if of != nil {
			checkField(t, path+part, *of)
		}
	}
	if isMap := f.Type == "map"; isMap != (f.Keys != nil) || isMap != (f.Values != nil) {
		t.Errorf("%s: a map, and no other field, has keys and values", path)
	}
}

func TestKongAttributes(t *testing.T) {
	text, err := json.Marshal(ForKong("m2m-token-enricher"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"consumer":{"type":"foreign","reference":"consumers","eq":null}}`,
		`"one_of":["http","https"]`,
		`"referenceable":true,"encrypted":true`,
		`"entity_checks":[{"only_one_of":["jwks_file","jwks"]}]`,
		`"entity_checks":[{"at_least_one_of":["claims","workflow"]}]`,
		`"type":"map","description":"What the workflow reads with kinde.env.get: names, and values that may be vault references.","keys":{"type":"string"},"values":{"type":"string","len_max":16384,"referenceable":true,"encrypted":true}`,
		`"len_min":0`,
		`"between":[0,65535]`,
		`"default":false`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s is not in the schema", want)
		}
	}
}

// TestSchemaIsTheConfig holds the two descriptions of the configuration
// together: each field of the schema is a field of Config and the other way
// round.
func TestSchemaIsTheConfig(t *testing.T) {
	compareFields(t, "config", root(), reflect.TypeFor[Config]())
}

func compareFields(t *testing.T, path string, f Field, typ reflect.Type) {
	inGo := map[string]reflect.Type{}
	for i := range typ.NumField() {
		if tag := typ.Field(i).Tag.Get("json"); tag != "-" {
			inGo[tag] = typ.Field(i).Type
		}
	}
	for _, sub := range f.Fields {
		goType, ok := inGo[sub.Name]
		if !ok {
			t.Errorf("%s.%s is not in the Go type", path, sub.Name)
			continue
		}
		delete(inGo, sub.Name)
		switch {
		case sub.Type == "record":
			compareFields(t, path+"."+sub.Name, sub, goType)
		case sub.Type == "array" && sub.Elements.Type == "record":
			compareFields(t, path+"."+sub.Name, *sub.Elements, goType.Elem())
		}
	}
	for name := range inGo {
		t.Errorf("%s.%s is not in Kong's schema", path, name)
	}
}

func TestUnknownAttribute(t *testing.T) {
	var fields Fields
	if err := json.Unmarshal([]byte(`[{"a":{"type":"string","colour":"red"}}]`), &fields); err == nil {
		t.Error("accepted")
	}
}
