package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/schema"
)

// sharedConfigs is decK's name for configurations that plugins of the file share.
const sharedConfigs = "_plugin_configs"

// pluginPlace is where Kong's declarative configuration has plugins: in lists of that
// name. An answer of the Admin API has one alone, or a list of data.
var pluginPlace = regexp.MustCompile(`^(\[\d+\])?$|(^|\.)(plugins|data)\[\d+\]$`)

// routed is where the plugins of a route or a service are.
var routed = regexp.MustCompile(`(^|\.)(routes|services)\[`)

// find returns every configuration of the plugin in the document, and notes what
// isn't one.
func (d *document) find() []block {
	object, _ := d.content.(map[string]any)
	if isManifest(object) {
		return d.findManifests("", object)
	}
	blocks := d.findPlugins("", d.content)
	if len(blocks) == 0 && d.content != nil {
		d.skip("", noPlugin)
	}
	return blocks
}

// skip notes that the value at path isn't read.
func (d *document) skip(path, what string) {
	d.skipped = append(d.skipped, skipped{fmt.Sprintf("%s:%d", d.name, d.line(path)), what})
}

// findPlugins finds the plugin wherever Kong allows it: at the top, on services, on
// routes and on others. Names that begin with an underscore are no entities of Kong.
func (d *document) findPlugins(path string, value any) (found []block) {
	switch v := value.(type) {
	case map[string]any:
		if v["name"] == plugin.Name && pluginPlace.MatchString(path) {
			return []block{d.pluginBlock(path, v)}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if !strings.HasPrefix(name, "_") && name != "config" {
				found = append(found, d.findPlugins(join(path, name), v[name])...)
			}
		}
	case []any:
		for i, element := range v {
			found = append(found, d.findPlugins(fmt.Sprintf("%s[%d]", path, i), element)...)
		}
	}
	return found
}

// pluginBlock returns the configuration of a plugin. As in decK, its members that are
// missing come from the shared configuration that _config names.
func (d *document) pluginBlock(path string, p map[string]any) block {
	b := block{in: d, path: path, title: path, config: p["config"]}
	b.allRoutes = !routed.MatchString(path) && p["route"] == nil && p["service"] == nil
	if path == "" {
		b.title = d.name
	}
	own, isRecord := b.config.(map[string]any)
	if p["_config"] == nil || b.config != nil && !isRecord {
		return b
	}
	top, _ := d.content.(map[string]any)
	configs, _ := top[sharedConfigs].(map[string]any)
	name, _ := p["_config"].(string)
	shared, ok := configs[name].(map[string]any)
	if !ok {
		b.config = schema.Unknown{Where: "in a shared configuration that this document doesn't have"}
		return b
	}
	merged := maps.Clone(shared)
	maps.Copy(merged, own)
	b.config, b.shared = merged, map[string]string{}
	for member := range shared {
		if _, replaced := own[member]; !replaced {
			b.shared[member] = join(join(sharedConfigs, name), member)
		}
	}
	return b
}
