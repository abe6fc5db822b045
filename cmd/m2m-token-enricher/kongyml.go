package main

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/plugin"
)

// readBlocks returns every configuration of the plugin in a kong.yml; none is an
// error.
func readBlocks(path string) ([]block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err // it names the path
	}
	var declared any
	if err := yaml.Unmarshal(text, &declared); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	blocks := findBlocks("", declared)
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s: no plugin named %s in it", path, plugin.Name)
	}
	return blocks, nil
}

// block is the configuration of the plugin at one place of kong.yml.
type block struct {
	path   string
	config map[string]any
}

// findBlocks finds the plugin wherever Kong allows it: at the top, on services
// and on routes.
func findBlocks(path string, node any) []block {
	var found []block
	switch v := node.(type) {
	case map[string]any:
		if v["name"] == plugin.Name {
			config, _ := v["config"].(map[string]any)
			return []block{{path, config}}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			below := name
			if path != "" {
				below = path + "." + name
			}
			found = append(found, findBlocks(below, v[name])...)
		}
	case []any:
		for i, element := range v {
			found = append(found, findBlocks(fmt.Sprintf("%s[%d]", path, i), element)...)
		}
	}
	return found
}
