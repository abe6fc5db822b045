package schema

import "strings"

// Secret is a text that must not be shown. Formatting and marshalling it
// gives a placeholder.
type Secret string

func (Secret) String() string               { return "[redacted]" }
func (Secret) GoString() string             { return "[redacted]" }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// IsReference reports whether s is a reference into a Kong vault, which only
// Kong can resolve.
func IsReference(s string) bool {
	return strings.HasPrefix(s, "{vault://") && strings.HasSuffix(s, "}")
}

// secret reports whether the field may have a secret: what Kong encrypts, and
// what may be a vault reference, as a user's name is.
func (f Field) secret() bool { return f.Encrypted || f.Referenceable }

// public returns a value that Complete returned without the fields that may have
// a secret.
func (f Field) public(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if f.Type == "map" {
			return f.publicMap(v)
		}
		shown := map[string]any{}
		for _, sub := range f.Fields {
			if given, ok := v[sub.Name]; ok && !sub.secret() {
				shown[sub.Name] = sub.public(given)
			}
		}
		return shown
	case []any:
		if f.Elements == nil || f.Elements.secret() {
			return nil
		}
		shown := make([]any, len(v))
		for i, element := range v {
			shown[i] = f.Elements.public(element)
		}
		return shown
	}
	return value
}

// publicMap is public for a map. Its keys are no secrets, but they say which there are.
func (f Field) publicMap(values map[string]any) any {
	if f.Values.secret() {
		return nil
	}
	shown := map[string]any{}
	for key, value := range values {
		shown[key] = f.Values.public(value)
	}
	return shown
}
