package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/schema"
)

// isManifest reports whether an object is one of Kubernetes.
func isManifest(object map[string]any) bool {
	_, hasKind := object["kind"].(string)
	_, hasVersion := object["apiVersion"].(string)
	return hasKind && hasVersion
}

// findManifests returns the configuration of a KongPlugin or a KongClusterPlugin, or
// of each one in a list. Its plugin member names the plugin, not metadata.name.
func (d *document) findManifests(path string, object map[string]any) (found []block) {
	kind := fmt.Sprint(object["kind"])
	if items, ok := object["items"].([]any); ok && strings.HasSuffix(kind, "List") {
		for i, item := range items {
			if element, ok := item.(map[string]any); ok {
				if element["kind"] == nil { // as the API answers
					element["kind"] = strings.TrimSuffix(kind, "List")
				}
				found = append(found, d.findManifests(fmt.Sprintf("%s[%d]", join(path, "items"), i), element)...)
			}
		}
		return found
	}
	metadata, _ := object["metadata"].(map[string]any)
	title := strings.TrimSpace(fmt.Sprintf("%s %s", kind, namespaced(metadata)))
	switch {
	case kind != "KongPlugin" && kind != "KongClusterPlugin":
		d.skip(path, title+" has no configuration of a plugin")
	case object["plugin"] != plugin.Name:
		d.skip(path, title+" is for another plugin")
	default:
		return []block{d.manifestBlock(path, title, object)}
	}
	return nil
}

// namespaced returns the name of an object with its namespace.
func namespaced(metadata map[string]any) string {
	name, _ := metadata["name"].(string)
	if namespace, ok := metadata["namespace"].(string); ok {
		return namespace + "/" + name
	}
	return name
}

// manifestBlock returns a configuration whose values may be in Secrets.
func (d *document) manifestBlock(path, title string, object map[string]any) block {
	b := block{in: d, path: path, title: title, config: object["config"]}
	if from, ok := object["configFrom"].(map[string]any); ok {
		if b.config != nil {
			b.mistakes = append(b.mistakes, &schema.FieldError{Path: join(path, "configFrom"), Problem: "can't be used beside config"})
		}
		b.config = inSecret(from)
		d.lines[join(path, "config")] = d.line(join(path, "configFrom"))
	}
	patches, _ := object["configPatches"].([]any)
	if b.config == nil && len(patches) > 0 {
		b.config = map[string]any{}
	}
	for i, patch := range patches {
		p, _ := patch.(map[string]any)
		b.patch(fmt.Sprintf("%s[%d].path", join(path, "configPatches"), i), p)
	}
	return b
}

// patch makes the value unknown that a patch, whose path is at a place of the
// document, takes from a Secret.
func (b *block) patch(place string, patch map[string]any) {
	pointer, _ := patch["path"].(string)
	from, _ := patch["valueFrom"].(map[string]any)
	patched := b.config
	names, ok := segments(pointer)
	if ok {
		patched, ok = patch6902(b.config, names, inSecret(from))
	}
	if !ok {
		b.mistakes = append(b.mistakes, &schema.FieldError{Path: place, Problem: fmt.Sprintf("config has no place for %q", pointer)})
		return
	}
	b.config = patched
	field := join(b.path, "config")
	for _, name := range names {
		if _, err := strconv.Atoi(name); err == nil {
			field += "[" + name + "]"
		} else {
			field = join(field, name)
		}
	}
	if b.in.lines[field] == 0 {
		b.in.lines[field] = b.in.line(place)
	}
}

// inSecret is the value that a reference to a Secret stands for.
func inSecret(reference map[string]any) schema.Unknown {
	key, _ := reference["secretKeyRef"].(map[string]any)
	if name, ok := key["name"].(string); ok {
		return schema.Unknown{Where: "in the Secret " + name}
	}
	return schema.Unknown{Where: "in a Secret"}
}

// segments splits a JSON pointer (RFC 6901), and reports whether it is one. The empty
// one is the whole value.
func segments(pointer string) (names []string, ok bool) {
	for name := range strings.SplitSeq(pointer, "/") {
		names = append(names, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
	}
	return names[1:], names[0] == ""
}

// patch6902 adds value at path, as the operation "add" of a JSON patch (RFC 6902), and
// reports whether there is such a place.
func patch6902(in any, path []string, value any) (any, bool) {
	if len(path) == 0 {
		return value, true
	}
	name, last := path[0], len(path) == 1
	switch v := in.(type) {
	case schema.Unknown:
		return v, true
	case map[string]any:
		if !last && v[name] == nil {
			return in, false
		}
		patched, ok := patch6902(v[name], path[1:], value)
		v[name] = patched
		return v, ok
	case []any:
		if last && name == "-" {
			return append(v, value), true
		}
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i > len(v) || !last && i == len(v) {
			return in, false
		}
		if last {
			return slices.Insert(v, i, value), true
		}
		patched, ok := patch6902(v[i], path[1:], value)
		v[i] = patched
		return v, ok
	}
	return in, false
}
