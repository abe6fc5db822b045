package schema

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Parse decodes a configuration as an operator writes it. given has the shapes
// that encoding/json gives to an any, or [Unknown] values. The error joins every error, each a
// [*FieldError]. With an error, the configuration must not be used. It has the
// zero value where a field can't be read, and is nil only if nothing can.
func Parse(given any) (*Config, error) {
	r := &report{}
	complete := r.field(root(), "config", given)
	canonical, err := json.Marshal(complete) // map keys are sorted
	public, publicErr := json.Marshal(root().public(complete))
	cfg := &Config{Fingerprint: sha256.Sum256(public), Identity: sha256.Sum256(canonical)}
	if err = errors.Join(err, publicErr, json.Unmarshal(canonical, cfg)); err != nil {
		return nil, errors.Join(r.err(), fmt.Errorf("decode the configuration: %w", err))
	}
	cfg.Unknown = r.unknowns
	cfg.derive()
	cfg.validate(r)
	return cfg, r.err()
}

// ParseInstance is [Parse] for a configuration as Kong sends it with
// start_instance. Members of Kong's own beside the fields are ignored.
func ParseInstance(data []byte) (*Config, error) {
	var given map[string]any
	if err := json.Unmarshal(data, &given); err != nil {
		return nil, fmt.Errorf("decode the configuration: %w", err)
	}
	known := root()
	maps.DeleteFunc(given, func(name string, _ any) bool {
		return !slices.ContainsFunc(known.Fields, func(f Field) bool { return f.Name == name })
	})
	known.dropKongs(given)
	return Parse(given)
}

// dropKongs removes what Kong adds to a record, such as the "$refs" of vault
// references. The keys of a map are an operator's own, except those with a dollar.
func (f Field) dropKongs(value any) {
	members, ok := value.(map[string]any)
	if !ok {
		return
	}
	maps.DeleteFunc(members, func(name string, _ any) bool {
		return strings.HasPrefix(name, "$") || f.Type == "record" && strings.HasPrefix(name, "__")
	})
	for _, sub := range f.Fields {
		sub.dropKongs(members[sub.Name])
	}
}

// DefaultRedis is a server on this machine with every default.
func DefaultRedis() Redis {
	complete, _ := fieldOf("redis", reflect.TypeFor[Redis](), "").Complete("redis", map[string]any{"host": "127.0.0.1"})
	text, _ := json.Marshal(complete)
	var r Redis
	_ = json.Unmarshal(text, &r) // they are fields of r
	r.derive()
	return r
}

// derive fills the defaults that depend on another field.
func (c *Config) derive() {
	c.Redis.derive()
	c.Reuse.derive()
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" {
		return
	}
	if c.Prefix == "" {
		c.Prefix = derivedPrefix(u)
	}
	if c.ManagementAudiences == nil && strings.HasSuffix(strings.ToLower(u.Hostname()), ".kinde.com") {
		c.ManagementAudiences = []string{"https://" + strings.ToLower(u.Host) + "/api"}
	}
}
