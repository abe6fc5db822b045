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
		switch {
		case name == "signing.jwks" || name == "signing.jwks_file":
			return true
		case name == "redis" || name == "prefix" || ofRedis:
			return t.withoutRedis || name == "prefix" && t.prefix != "" || ofRedis && t.gives(field)
		}
		return false
	})
}

// gives reports whether a flag or the environment gives the field of redis.
func (t *target) gives(field string) bool {
	switch name, _ := member(field); name {
	case "host", "sentinel_master", "sentinel_nodes", "cluster_nodes":
		return t.host != ""
	case "port":
		return t.port != 0
	case "database":
		return t.database >= 0
	case "username":
		return t.username != "" || os.Getenv(usernameVariable) != ""
	case "password":
		return t.passwordFile != "" || os.Getenv(passwordVariable) != ""
	case "ssl":
		return t.ssl || t.caFile != ""
	case "ssl_ca_file":
		return t.caFile != ""
	}
	return false
}

// flagOf are the flags of the commands on records, by the field that they give.
var flagOf = map[string]string{
	"config.prefix": "--prefix", "config.redis.host": "--host", "config.redis.port": "--port",
	"config.redis.database": "--database", "config.redis.username": "--username", "config.redis.ssl": "--ssl",
	"config.redis.ssl_ca_file": "--ca-file", "config.redis.password": "--password-file or " + passwordVariable,
}

// giving says how to give a command the field at path.
func giving(path string) string {
	if flag, ok := flagOf[path]; ok {
		return "give it with " + flag
	}
	return "give a file with the value"
}
