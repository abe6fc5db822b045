package schema

import (
	"reflect"
	"regexp"
	"testing"
)

// secretName matches the names of fields that nobody doubts are secrets.
var secretName = regexp.MustCompile(`password|passphrase|secret|credential|private|access_key`)

// TestFingerprintHasNoSecret: whoever sees a configuration's name can't try
// secrets by it, and another secret is another configuration all the same.
func TestFingerprintHasNoSecret(t *testing.T) {
	of := func(path string, value any) *Config {
		cfg, err := Parse(minimal(t, path, value))
		if cfg == nil {
			t.Fatal(err)
		}
		return cfg
	}
	n := 0
	eachField("", root(), reflect.TypeFor[Config](), func(path string, f Field, typ reflect.Type) {
		if isSecret := typ == reflect.TypeFor[Secret](); f.Encrypted != isSecret || isSecret && !f.secret() || secretName.MatchString(f.Name) && !isSecret {
			t.Errorf("%s is a %s, and encrypted: %t", path, typ, f.Encrypted)
		}
		if !f.Encrypted && !f.Referenceable {
			return
		}
		n++
		none, one, other := of(path, nil), of(path, "hunter2"), of(path, "letmein")
		if none.Fingerprint != one.Fingerprint || one.Fingerprint != other.Fingerprint {
			t.Errorf("%s changes the fingerprint", path)
		}
		if none.Identity == one.Identity || one.Identity == other.Identity {
			t.Errorf("%s doesn't change the identity", path)
		}
	})
	if n < 5 {
		t.Errorf("%d fields were tried", n)
	}
	if a, b := of("redis.host", "a"), of("redis.host", "b"); a.Fingerprint == b.Fingerprint || a.Identity == b.Identity {
		t.Error("another host changes nothing")
	}
}

// eachField calls each with the fields of records, and of the records in lists.
// The path into a list isn't one that can be set: no secret may be there.
func eachField(path string, f Field, typ reflect.Type, each func(path string, f Field, typ reflect.Type)) {
	for _, sub := range f.Fields {
		goType := fieldNamed(typ, sub.Name)
		at := sub.Name
		if path != "" {
			at = path + "." + sub.Name
		}
		each(at, sub, goType)
		switch {
		case sub.Type == "record":
			eachField(at, sub, goType, each)
		case sub.Elements != nil && sub.Elements.Type == "record":
			eachField(at+"[]", *sub.Elements, goType.Elem(), each)
		case sub.Type == "map":
			each(at+".NAME", *sub.Values, goType.Elem())
		}
	}
}

func fieldNamed(typ reflect.Type, name string) reflect.Type {
	for field := range typ.Fields() {
		if field.Tag.Get("json") == name {
			return field.Type
		}
	}
	return typ // no field
}
