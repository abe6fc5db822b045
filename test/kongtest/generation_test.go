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

func TestConfigurationMistakes(t *testing.T) {
	const start = "_format_version: \"3.0\"\nservices:\n- name: a\n  url: http://127.0.0.1:1\n  routes:\n  - name: r\n    paths: [/]\n"
	for _, test := range []struct{ name, config, want string }{
		{"not YAML", "{", "declarative config is invalid"},
		{"no version", "services: []", "_format_version: required field missing"},
		{"old version", `_format_version: "1.1"`, "not supported"},
		{"unknown entity", start + "consumers: []\n", `unknown field "consumers"`},
		{"other plugin", start + "plugins: [{name: key-auth}]\n", "plugin 'key-auth' not enabled"},
		{"missing", start + "plugins: [{name: probe}]\n", "config.level: required field missing"},
		{"every mistake", start + "plugins: [{name: probe, config: {level: mid, x: 1}}]\n", "config.x: unknown field"},
		{"consumer", start + "plugins: [{name: probe, consumer: a, config: {level: low}}]\n", "consumer: value must be null"},
		{"no such route", start + "plugins: [{name: probe, route: x, config: {level: low}}]\n", `no route "x"`},
		{"no such service", start + "plugins: [{name: probe, service: x, config: {level: low}}]\n", `no service "x"`},
		{"twice", start + "plugins: [{name: probe, config: {level: low}}, {name: probe, config: {level: low}}]\n", "uniqueness violation"},
		{"route without service", start + "routes: [{name: q, paths: [/]}]\n", "beyond the stand-in"},
		{"path", strings.Replace(start, "[/]", "[x]", 1), "should start with: /"},
		{"regex", strings.Replace(start, "[/]", `["~/("]`, 1), "invalid regex"},
		{"no path", strings.Replace(start, "    paths: [/]\n", "", 1), "must set one of"},
		{"protocol", strings.Replace(start, "http:", "grpc:", 1), "protocol: expected one of"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := newStandIn(Options{Config: []byte(test.config)}, strict(), "none", 0)
			if err == nil {
				s.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestMostSpecificPluginWins(t *testing.T) {
	s := serveWith(t, Options{Config: []byte(`
_format_version: "3.0"
services:
- name: one
  url: http://127.0.0.1:1
  routes:
  - name: own
    paths: [/own]
    plugins: [{name: probe, config: {level: low, key: route}}]
  - {name: services, paths: [/services]}
  plugins: [{name: probe, config: {level: low, key: service}}]
- name: two
  url: http://127.0.0.1:2
  routes:
  - {name: global, paths: [/global]}
  - {name: top, paths: [/top]}
plugins:
- {name: probe, config: {level: low, key: everywhere}}
- {name: probe, route: top, config: {level: low, key: top}}
- {name: probe, service: two, enabled: false, config: {level: low, key: never}}
`)}, strict(), "none")
	for path, want := range map[string]string{"/own": "route", "/services": "service", "/global": "everywhere", "/top": "top"} {
		r, _ := s.generation.Load().router.match("GET", "http", path)
		var config struct{ Key string }
		if err := json.Unmarshal(r.plugin.instances[0].config, &config); err != nil || config.Key != want {
			t.Errorf("%s: %s, want %s (%v)", path, config.Key, want, err)
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
			t.Errorf("%s is %v", reference, inner)
		}
		if config["$refs"] != nil {
			t.Errorf("references outside their record: %v", config)
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
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}
