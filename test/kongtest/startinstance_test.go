package kongtest

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"

	"m2m-token-enricher/schema"
)

// TestRecordedStartInstance compares the form of what start_instance delivers.
func TestRecordedStartInstance(t *testing.T) {
	recordingNames(t)
	var frames []frameRecord
	readRecording(t, "start-instance.json", &frames)
	t.Setenv("MY_SECRET_KEY", "s3cr3t")
	var fields schema.Fields
	err := json.Unmarshal([]byte(`[
		{"claims":{"type":"array","elements":{"type":"record","fields":[
			{"name":{"type":"string"}},{"property":{"type":"string"}},{"value":{"type":"string"}}]}}},
		{"list":{"type":"array","default":[],"elements":{"type":"string"}}},
		{"level":{"type":"string","default":"low"}},
		{"redis":{"type":"record","required":true,"fields":[
			{"host":{"type":"string","default":"127.0.0.1"}},{"port":{"type":"integer","default":6379}},
			{"password":{"type":"string","referenceable":true}}]}},
		{"secret":{"type":"string","referenceable":true}},
		{"unset":{"type":"string"}}]`), &fields)
	if err != nil {
		t.Fatal(err)
	}
	info := probe("access")
	info.Schema.Fields = schema.Fields{{Name: "config", Type: "record", Fields: fields}}
	config := `
_format_version: "3.0"
services:
- name: idp
  url: http://127.0.0.1:1
  routes:
  - id: 570aa1c6-3d91-5adc-806c-112d36e3ff7e
    name: token
    paths: [/]
    strip_path: false
    plugins:
    - name: probe
      id: d0ab32c8-4170-5923-912d-42ce5868835d
      config:
        claims: [{name: org_code, property: org_code}, {name: tier, value: gold}]
        secret: "{vault://env/my-secret-key}"
`
	s := serveWith(t, Options{Config: []byte(config), Workers: 1}, info, filepath.Join(t.TempDir(), "none"))
	got := s.generation.Load().router.matchers[0].route.plugin.instances[0].config
	if !sameJSON(t, got, frames[0].Data) {
		t.Errorf("start_instance gets\n%s, want\n%s", got, bytes.TrimSpace(frames[0].Data))
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}
