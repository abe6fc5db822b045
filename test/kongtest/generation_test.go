package kongtest

import (
	"encoding/json"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
)

// strict describes a plugin with a configuration.
func strict() *pluginInfo {
	info := probe("access")
	info.Schema.Fields = schema.Fields{{Name: "config", Type: "record", Required: true, Fields: schema.Fields{
		{Name: "level", Type: "string", Required: true, OneOf: []string{"low", "high"}},
		{Name: "key", Type: "string", Referenceable: true},
		{Name: "inner", Type: "record", Required: true, Fields: schema.Fields{
			{Name: "port", Type: "integer", Default: 6379},
			{Name: "password", Type: "string", Referenceable: true},
		}},
	}}}
	return info
}

func TestConfigurationErrors(t *testing.T) {
	const start = "_format_version: \"3.0\"\nservices:\n- name: a\n  url: http://127.0.0.1:1\n  routes: [{name: r, paths: [/], strip_path: false}]\n"
	for _, test := range []struct{ name, config, want string }{
		{"not YAML", "{", "declarative config is invalid"},
		{"old version", `_format_version: "1.1"`, "not supported"},
		{"unknown entity", start + "consumers: []\n", `unknown field "consumers"`},
		{"other plugin", start + "  plugins: [{name: key-auth}]\n", "not enabled"},
		{"missing", start + "  plugins: [{name: probe}]\n", "config.level: required field missing"},
		{"every error", start + "  plugins: [{name: probe, config: {level: mid, x: 1}}]\n", "config.x: unknown field"},
		{"twice", start + "  plugins: [{name: probe, config: {level: low}}, {name: probe, config: {level: low}}]\n", "once for each"},
		{"path", strings.Replace(start, "[/]", "[x]", 1), "should start with: /"},
		{"regex", strings.Replace(start, "[/]", `["~/("]`, 1), "invalid regex"},
		{"no path", strings.Replace(start, "[/]", "[]", 1), "must set one of"},
		{"protocol", strings.Replace(start, "http:", "grpc:", 1), "protocol: expected one of"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := newStandIn(Options{Config: []byte(test.config)}, strict(), "none", 0)
			if err == nil {
				s.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestRoutesPluginWins: a route's own plugin applies before its service's.
func TestRoutesPluginWins(t *testing.T) {
	s := serveWith(t, Options{Config: []byte(`
_format_version: "3.0"
services:
- name: one
  url: http://127.0.0.1:1
  routes:
  - {name: own, paths: [/own], strip_path: false, plugins: [{name: probe, config: {level: low, key: route}}]}
  - {name: services, paths: [/services], strip_path: false}
  plugins: [{name: probe, config: {level: low, key: service}}]
`)}, strict(), "none")
	for path, want := range map[string]string{"/own": "route", "/services": "service"} {
		var config struct{ Key string }
		r := s.generation.Load().router.match(path, nil)
		if err := json.Unmarshal(r.plugin.instances[0].config, &config); err != nil || config.Key != want {
			t.Errorf("%s: got %s, %v, want %s", path, config.Key, err, want)
		}
	}
}

func TestVaultReferences(t *testing.T) {
	t.Setenv("MY_SECRET", "s3cr3t")
	t.Setenv("MY_OBJECT", `{"password":"nested"}`)
	for reference, want := range map[string]string{
		"{vault://env/my-secret}":          "s3cr3t",
		"{vault://env/my-object/password}": "nested",
		"{vault://env/my-object/other}":    "",
		"{vault://env/kongtest-unset}":     "",
		"{vault://aws/my-secret}":          "",
	} {
		config, err := completeConfig(*strict().field("config"), map[string]any{
			"level": "low", "inner": map[string]any{"password": reference},
		})
		if err != nil {
			t.Fatal(err)
		}
		inner := config["inner"].(map[string]any)
		refs, _ := inner["$refs"].(map[string]any)
		if inner["password"] != want || refs["password"] != reference {
			t.Errorf("%s: got %v, want %q", reference, inner, want)
		}
		if config["$refs"] != nil {
			t.Errorf("references outside their record: %v", config)
		}
	}
}

// TestMaps: an empty map arrives as one, an unset one doesn't, and references in one
// are resolved by key.
func TestMaps(t *testing.T) {
	t.Setenv("MY_SECRET", "s3cr3t")
	f := schema.Field{Type: "record", Fields: schema.Fields{
		{Name: "env", Type: "map", Keys: &schema.Field{Type: "string"}, Values: &schema.Field{Type: "string", Referenceable: true}},
		{Name: "other", Type: "string"},
	}, EntityChecks: []schema.EntityCheck{{AtLeastOneOf: []string{"env", "other"}}}}
	for given, want := range map[string]string{
		`{"env":{}}`:    `{"env":{}}`,
		`{"other":"x"}`: `{"other":"x"}`,
		`{"env":{"A":"{vault://env/my-secret}","B":"b"}}`: `{"$refs":{"env":{"A":"{vault://env/my-secret}"}},"env":{"A":"s3cr3t","B":"b"}}`,
	} {
		var config map[string]any
		if err := json.Unmarshal([]byte(given), &config); err != nil {
			t.Fatal(err)
		}
		complete, err := completeConfig(f, config)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(complete); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", given, got, err, want)
		}
	}
	for given, want := range map[string]string{`{}`: "at least one of these fields must be non-empty: 'env', 'other'", `{"env":["a"]}`: "expected a map"} {
		var config map[string]any
		if err := json.Unmarshal([]byte(given), &config); err != nil {
			t.Fatal(err)
		}
		if _, err := completeConfig(f, config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", given, err, want)
		}
	}
}

func TestDump(t *testing.T) {
	const good = `{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"probe","Version":"1.2.3","Priority":810,"Phases":["access","response"],
		"Schema":{"name":"probe","fields":[{"config":{"type":"record","fields":[
			{"n":{"type":"integer","default":5,"between":[1,10],"description":"ten characters"}}]}}]}}]}`
	if _, err := parseDump([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"not JSON", "{\"Protocol", "log line\n{\"Protocol", "not one JSON document"},
		{"two documents", "]}}]}}]}", "]}}]}}]}{}", "not one JSON document"},
		{"protocol", "ProtoBuf:1", "MsgPack:1", "protocol"},
		{"version", "1.2.3", "v1.2", "not x.y.z"},
		{"priority", "810", "8.5", "plugin"},
		{"phases", `"response"`, `"response","header_filter"`, "can't have both"},
		{"phase", `"access"`, `"acces"`, "unknown phase"},
		{"description", "ten characters", "too short", "9 characters"},
		{"default", `"default":5`, `"default":50`, "value should be between 1 and 10"},
		{"attribute", `"between"`, `"betwixt"`, "betwixt"},
		{"no config", `"config"`, `"conf"`, "no field config"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad := strings.Replace(good, test.old, test.new, 1)
			if _, err := parseDump([]byte(bad)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
