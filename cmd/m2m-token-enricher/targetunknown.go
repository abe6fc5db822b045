package main

import (
	"os"
	"slices"
	"strings"

	"m2m-token-enricher/schema"
)

// needed returns the fields whose values the file doesn't have and that no flag gives.
// The signing key isn't needed: no command signs for an API.
func (t *target) needed(cfg *schema.Config) []schema.UnknownField {
	return slices.DeleteFunc(slices.Clone(cfg.Unknown), func(f schema.UnknownField) bool {
		name := strings.TrimPrefix(f.Path, "config.")
		field, ofRedis := strings.CutPrefix(name, "redis.")
		switch field, _ = member(field); {
		case t.fields != nil:
			return name != "config" && !slices.ContainsFunc(t.fields, func(read string) bool { return within(name, read) || within(read, name) })
		case within(name, "workflow"):
			return !t.runsWorkflow
		case name == "signing.jwks" || name == "signing.jwks_file":
			return true
		case name == "redis" || name == "prefix" || ofRedis:
			return t.withoutRedis || flagOf[field].given != nil && flagOf[field].given(t)
		}
		return false
	})
}

// flagOf are the flags of the commands on records, by the field of redis, or prefix,
// that they replace. A name is shown, given reports whether it is replaced.
var flagOf = map[string]struct {
	name  string
	given func(*target) bool
}{
	"prefix":          {"--prefix", func(t *target) bool { return t.prefix != "" }},
	"host":            {"--host", (*target).ownHost},
	"sentinel_master": {"", (*target).ownHost},
	"sentinel_nodes":  {"", (*target).ownHost},
	"cluster_nodes":   {"", (*target).ownHost},
	"port":            {"--port", func(t *target) bool { return t.port != 0 }},
	"database":        {"--database", func(t *target) bool { return t.database >= 0 }},
	"username":        {"--username", func(t *target) bool { return t.username != "" || os.Getenv(usernameVariable) != "" }},
	"password":        {"--password-file or " + passwordVariable, func(t *target) bool { return t.passwordFile != "" || os.Getenv(passwordVariable) != "" }},
	"ssl":             {"--ssl", func(t *target) bool { return t.ssl || t.caFile != "" }},
	"ssl_ca_file":     {"--ca-file", func(t *target) bool { return t.caFile != "" }},
}

func (t *target) ownHost() bool { return t.host != "" }

// giving says how to give a command the field at path.
func giving(path string) string {
	field := strings.TrimPrefix(strings.TrimPrefix(path, "config."), "redis.")
	if flag := flagOf[field]; flag.name != "" {
		return "give it with " + flag.name
	}
	return "give a file with the value"
}
