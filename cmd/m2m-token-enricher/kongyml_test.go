package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/schema"
)

// TestShippedFiles: the configurations that come with the product have no error. Only
// what is in a Secret is unknown.
func TestShippedFiles(t *testing.T) {
	for name, unknown := range map[string]string{
		"kong.yml": "[]", "deploy/compose/kong.yml": "[]", "deploy/kubernetes/kong.yml": "[]",
		"deploy/kubernetes/plugin.yaml": "[{config.redis.password in the Secret m2m-redis}]",
	} {
		file, err := readKongFile(filepath.Join("../..", name))
		if err != nil || len(file.blocks) != 1 || len(file.skipped) > 0 {
			t.Errorf("%s: got %d configurations, %v skipped and %v, want one configuration", name, len(file.blocks), file.skipped, err)
			continue
		}
		cfg, err := gateway.Validated(schema.Parse(file.blocks[0].config))
		if errs := file.blocks[0].located(err); len(errs) > 0 {
			t.Errorf("%s: got %v, want no error", name, errs)
		}
		if got := fmt.Sprint(cfg.Unknown); got != unknown {
			t.Errorf("%s: got unknown fields %s, want %s", name, got, unknown)
		}
	}
}

// TestPatches: a patch has a place where RFC 6902 has one for "add".
func TestPatches(t *testing.T) {
	const config = `{"redis":{"host":"r"},"claims":[{"name":"a"}],"a/b":{"c~d":1}}`
	for pointer, want := range map[string]string{
		"":                 `{}`,
		"/issuer":          `{"a/b":{"c~d":1},"claims":[{"name":"a"}],"issuer":{},"redis":{"host":"r"}}`,
		"/redis":           `{"a/b":{"c~d":1},"claims":[{"name":"a"}],"redis":{}}`,
		"/redis/password":  `{"a/b":{"c~d":1},"claims":[{"name":"a"}],"redis":{"host":"r","password":{}}}`,
		"/claims/0/name":   `{"a/b":{"c~d":1},"claims":[{"name":{}}],"redis":{"host":"r"}}`,
		"/claims/-":        `{"a/b":{"c~d":1},"claims":[{"name":"a"},{}],"redis":{"host":"r"}}`,
		"/claims/0":        `{"a/b":{"c~d":1},"claims":[{},{"name":"a"}],"redis":{"host":"r"}}`,
		"/claims/1":        `{"a/b":{"c~d":1},"claims":[{"name":"a"},{}],"redis":{"host":"r"}}`,
		"/a~1b/c~0d":       `{"a/b":{"c~d":{}},"claims":[{"name":"a"}],"redis":{"host":"r"}}`,
		"/signing/jwks":    "",
		"/claims/2":        "",
		"/claims/1/name":   "",
		"/claims/-/name":   "",
		"/claims/x":        "",
		"/redis/host/name": "",
		"redis":            "",
	} {
		var in any
		if err := json.Unmarshal([]byte(config), &in); err != nil {
			t.Fatal(err)
		}
		names, ok := segments(pointer)
		if ok {
			in, ok = patch6902(in, names, map[string]any{})
		}
		got, _ := json.Marshal(in)
		if want == "" {
			if ok || len(got) != len(config) {
				t.Errorf("%q: got %s, %v, want no place", pointer, got, ok)
			}
			continue
		}
		if string(got) != want || !ok {
			t.Errorf("%q: got %s, %v, want %s", pointer, got, ok, want)
		}
	}
}
