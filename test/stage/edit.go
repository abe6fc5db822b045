package stage

import (
	"errors"

	"sigs.k8s.io/yaml"
)

// Edit lets edit change the config of each plugin in kongYML, or takes the
// plugins out if edit is nil.
func Edit(kongYML []byte, edit func(config map[string]any)) ([]byte, error) {
	var document map[string]any
	if err := yaml.Unmarshal(kongYML, &document); err != nil {
		return nil, err
	}
	services, _ := document["services"].([]any)
	for _, entry := range services {
		service, _ := entry.(map[string]any)
		if edit == nil {
			delete(service, "plugins")
		}
		plugins, _ := service["plugins"].([]any)
		for _, entry := range plugins {
			plugin, _ := entry.(map[string]any)
			config, ok := plugin["config"].(map[string]any)
			if !ok {
				return nil, errors.New("the plugin in the configuration has no config")
			}
			edit(config)
		}
	}
	return yaml.Marshal(document)
}
