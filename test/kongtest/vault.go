package kongtest

import (
	"encoding/json"
	"os"
	"strings"

	"m2m-token-enricher/schema"
)

// resolve returns value with the references of f's referenceable fields
// replaced by what they refer to. A record in which something was replaced
// also gets $refs, the references by field, as Kong delivers it; those in a map are
// by key within its field's.
func resolve(f schema.Field, value any) any {
	switch v := value.(type) {
	case map[string]any:
		if f.Type == "map" {
			done := map[string]any{}
			for key, element := range v {
				done[key] = resolve(*f.Values, element)
			}
			return done
		}
		return resolveRecord(f, v)
	case []any:
		done := make([]any, len(v))
		for i, element := range v {
			done[i] = resolve(*f.Elements, element)
		}
		return done
	case string:
		if isReference(f, v) {
			return lookUp(v)
		}
	}
	return value
}

func resolveRecord(f schema.Field, record map[string]any) map[string]any {
	done := map[string]any{}
	refs := map[string]any{}
	for name, value := range record {
		done[name] = value
		for _, sub := range f.Fields {
			if sub.Name != name {
				continue
			}
			done[name] = resolve(sub, value)
			if s, ok := value.(string); ok && isReference(sub, s) {
				refs[name] = s
			}
			if inMap := mapReferences(sub, value); len(inMap) > 0 {
				refs[name] = inMap
			}
		}
	}
	if len(refs) > 0 {
		done["$refs"] = refs
	}
	return done
}

// mapReferences returns the references in a map, by key.
func mapReferences(f schema.Field, value any) map[string]any {
	refs := map[string]any{}
	given, _ := value.(map[string]any)
	for key, element := range given {
		if s, ok := element.(string); ok && f.Type == "map" && isReference(*f.Values, s) {
			refs[key] = s
		}
	}
	return refs
}

func isReference(f schema.Field, s string) bool { return f.Referenceable && schema.IsReference(s) }

// lookUp resolves {vault://env/name} and {vault://env/name/key}, the latter
// into a JSON object, from the gateway's own environment. Kong starts with a
// reference that it can't resolve and delivers an empty string, so this does.
func lookUp(reference string) string {
	path := strings.TrimSuffix(strings.TrimPrefix(reference, "{vault://"), "}")
	vault, rest, _ := strings.Cut(path, "/")
	name, key, nested := strings.Cut(rest, "/")
	if vault != "env" {
		return ""
	}
	value := os.Getenv(strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	if !nested {
		return value
	}
	var object map[string]any
	if json.Unmarshal([]byte(value), &object) != nil {
		return ""
	}
	s, _ := object[key].(string)
	return s
}
