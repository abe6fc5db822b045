// Package plugin is the adapter to Kong: it answers Kong's query command, runs
// the plugin server and handles the access and response phases.
package plugin

import (
	"encoding/json"
	"fmt"
	"io"

	"m2m-token-enricher/schema"
)

// What Kong knows the plugin by. The name is also the base name of the
// executable and of the socket.
const (
	Name    = "m2m-token-enricher"
	Version = "0.1.0"
	// Priority is just above response-transformer (800): the token is
	// rewritten after everything that decides about the request.
	Priority = 810
)

// Dump writes the document that Kong reads from the query command.
func Dump(w io.Writer) error {
	type info struct {
		Name     string
		Version  string
		Priority int
		Phases   []string
		Schema   schema.PluginSchema
	}
	enc := json.NewEncoder(w)
	err := enc.Encode(struct {
		Protocol string
		Plugins  []info
	}{"ProtoBuf:1", []info{{Name, Version, Priority, []string{"access", "response"}, schema.ForKong(Name)}}})
	if err != nil {
		return fmt.Errorf("write the plugin's schema: %w", err)
	}
	return nil
}
