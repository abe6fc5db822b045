package schema

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestUnknown: a value that isn't in the file is no error, whatever the field, and
// neither is what depends on it. Everything else is checked as before.
func TestUnknown(t *testing.T) {
	u := Unknown{Where: "elsewhere"}
	for name, tt := range map[string]struct {
		change  map[string]any
		unknown string // paths
		errs    string // paths
	}{
		"integer":               {map[string]any{"timeout": u}, "config.timeout", ""},
		"boolean":               {map[string]any{"allow_authorization_claims": u, "claims": []any{map[string]any{"name": "roles", "from": "user.roles"}}}, "config.allow_authorization_claims", ""},
		"issuer":                {map[string]any{"issuer": u}, "config.issuer", ""},
		"issuer without a URL":  {map[string]any{"issuer": "tenant", "prefix": u, "jwks_uri": u, "management_audiences": u}, "config.jwks_uri config.management_audiences config.prefix", ""},
		"host":                  {map[string]any{"redis": map[string]any{"host": u}}, "config.redis.host", ""},
		"one of two":            {map[string]any{"signing": map[string]any{"jwks_file": "keys.json", "jwks": u}}, "config.signing.jwks", ""},
		"one of one":            {map[string]any{"signing": map[string]any{"jwks": u}}, "config.signing.jwks", ""},
		"record":                {map[string]any{"signing": u, "cache": u}, "config.cache config.signing", ""},
		"list":                  {map[string]any{"claims": u}, "config.claims", ""},
		"element":               {map[string]any{"claims": []any{u}}, "config.claims[0]", ""},
		"in an element":         {map[string]any{"claims": []any{map[string]any{"name": u, "from": u, "type": u, "default": u}}}, "config.claims[0].default config.claims[0].from config.claims[0].name config.claims[0].type", ""},
		"database of a cluster": {map[string]any{"redis": map[string]any{"cluster_nodes": []any{map[string]any{"ip": "10.0.0.1"}}, "database": u}}, "config.redis.database", ""},
		"TLS":                   {map[string]any{"redis": map[string]any{"host": "r", "ssl_ca_file": "ca.pem", "ssl": u}}, "config.redis.ssl", ""},
		"other errors stay":     {map[string]any{"issuer": u, "timeout": "x", "redis": map[string]any{"host": u, "port": "x", "pasword": u}}, "config.issuer config.redis.host", "config.redis.pasword config.redis.port config.timeout"},
	} {
		given := map[string]any{
			"issuer": "https://example.kinde.com", "redis": map[string]any{"host": "redis"},
			"signing": map[string]any{"jwks_file": "keys.json"},
			"claims":  []any{map[string]any{"name": "plan", "from": "organization.plan"}},
		}
		maps.Copy(given, tt.change)
		cfg, err := Parse(given)
		unknown, errs := map[string]bool{}, map[string]bool{}
		for _, u := range cfg.Unknown {
			unknown[u.Path] = true
			if u.Where != "elsewhere" || cfg.Knows(u.Path) || cfg.Knows("config") {
				t.Errorf("%s: got %+v, want that it isn't known", name, u)
			}
		}
		for _, err := range Split(err) {
			errs[err.(*FieldError).Path] = true
		}
		if got := sorted(unknown); got != tt.unknown {
			t.Errorf("%s: got unknown fields %q, want %q", name, got, tt.unknown)
		}
		if got := sorted(errs); got != tt.errs {
			t.Errorf("%s: got %v, want errors at %q", name, err, tt.errs)
		}
	}
	if cfg, err := Parse(u); err != nil || len(cfg.Unknown) != 1 || cfg.Knows("config.issuer") {
		t.Errorf("got %+v, %v, want nothing known", cfg, err)
	}
}

func sorted(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), " ")
}

// TestKnows: a field is unknown if it, what is around it or what is in it is.
func TestKnows(t *testing.T) {
	cfg := &Config{Unknown: []UnknownField{{Path: "config.redis.port"}}}
	for path, want := range map[string]bool{
		"config": false, "config.redis": false, "config.redis.port": false, "config.redis.port.x": false,
		"config.redis.host": true, "config.redis.ports": true, "config.red": true, "config.issuer": true,
	} {
		if got := cfg.Knows(path); got != want {
			t.Errorf("Knows(%s) = %v, want %v", path, got, want)
		}
	}
}
