package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandsLoadNoLibrary: who runs a command on keys or tokens, often root,
// runs no code of a library on disk. -version and check say what would sign, and
// the server signs with it: they load it.
func TestCommandsLoadNoLibrary(t *testing.T) {
	hasLibrary := func() bool {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip(err)
		}
		return strings.Contains(string(maps), "libcrypto.so")
	}
	var out strings.Builder
	dir := t.TempDir()
	keyFile, config, token := filepath.Join(dir, "keys.json"), filepath.Join(dir, "kong.yml"), filepath.Join(dir, "token")
	must(t, os.WriteFile(token, []byte("no token"), 0o600), os.WriteFile(config, []byte(`
plugins:
- name: m2m-token-enricher
  config:
    issuer: https://127.0.0.1:1
    redis: {host: 127.0.0.1, port: 1}
    management_audiences: [https://example.com/api]
    organization: {from: [application.org_code]}
    signing: {jwks_file: `+keyFile+`}
    claims: [{name: org_code, from: application.org_code}]
`), 0o600))
	for _, args := range []string{
		"keys generate " + keyFile, "keys add " + keyFile, "keys list " + keyFile, "keys public " + keyFile, "keys rotate " + keyFile,
		"explain -c " + config + " c1", "explain -c " + config + " --token " + token, "app get -c " + config + " c1",
	} {
		out.Reset()
		code := run(strings.Fields(args), &out, &out)
		if code == 2 || strings.Contains(out.String(), "config.") {
			t.Errorf("%s: the command line or the configuration is wrong: %s", args, &out)
		}
		if hasLibrary() {
			t.Fatalf("%s loaded libcrypto", args)
		}
	}
	out.Reset()
	if code := run([]string{"-version"}, &out, &out); code != 0 || strings.Contains(out.String(), "OpenSSL 3") != hasLibrary() {
		t.Errorf("-version: exit code %d: %s", code, &out)
	}
}
