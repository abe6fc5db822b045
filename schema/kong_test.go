package schema

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
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
		if sub.Type == "record" && !sub.Required && slices.ContainsFunc(sub.Fields, func(in Field) bool { return in.Default != nil }) {
			t.Errorf("%s.%s: an optional record has a field with a default, which Kong may deliver without the others", path, sub.Name)
		}
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

// TestTags: a tag has only attributes that are read. A wrong one would be ignored.
func TestTags(t *testing.T) {
	attribute := regexp.MustCompile(`(\w+):"(?:[^"\\]|\\.)*"`)
	known := []string{"json", "required", "default", "one_of", "between", "len_min", "len_max", "starts_with", "referenceable", "description"}
	var check func(typ reflect.Type)
	check = func(typ reflect.Type) {
		for f := range typ.Fields() {
			if rest := attribute.ReplaceAllString(string(f.Tag), ""); f.Tag.Get("json") == "" || strings.TrimSpace(rest) != "" {
				t.Errorf("%s.%s: the tag %s isn't of its form", typ, f.Name, f.Tag)
			}
			inner := f.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			isRecord := inner.Kind() == reflect.Struct && f.Tag.Get("json") != "-"
			for _, a := range attribute.FindAllStringSubmatch(string(f.Tag), -1) {
				if !slices.Contains(known, a[1]) && !(isRecord && fieldNamed(inner, a[1]) != inner) {
					t.Errorf("%s.%s: the tag has %s, which nothing reads", typ, f.Name, a[1])
				}
			}
			if isRecord {
				check(inner)
			}
		}
	}
	check(reflect.TypeFor[Config]())
}

// TestTagsAreTheConstants: a tag can't name a constant, so this compares them.
func TestTagsAreTheConstants(t *testing.T) {
	fields := map[string]Field{}
	eachField("", root(), reflect.TypeFor[Config](), func(path string, f Field, _ reflect.Type) { fields[path] = f })
	for path, want := range map[string][]string{
		"mode": {ModeEnforce, ModeObserve}, "failure_policy": {PolicyStop, PolicyContinue},
		"unverified_management": {UnverifiedRefuse, UnverifiedPass}, "other_tokens": {OtherTokensDrop, OtherTokensKeep, OtherTokensRefuse},
		"signing.profile": {ProfileRFC9068}, "claims[].type": {TypeString, TypeNumber, TypeBoolean, TypeStrings, TypeJSON},
	} {
		if got := fields[path].OneOf; !slices.Equal(got, want) {
			t.Errorf("%s is one of %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]int{"claims": MaxClaims, "claims[].expr": MaxExpressionSize} {
		if got := fields[path].LenMax; got != want {
			t.Errorf("%s has at most %d, want %d", path, got, want)
		}
	}
}

func TestUnknownAttribute(t *testing.T) {
	var fields Fields
	if err := json.Unmarshal([]byte(`[{"a":{"type":"string","colour":"red"}}]`), &fields); err == nil {
		t.Error("accepted")
	}
}
