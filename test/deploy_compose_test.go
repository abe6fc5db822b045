package test

import (
	"path/filepath"
	"strings"
	"testing"

	"m2m-token-enricher/test/redistest"
)

// compose returns the services of deploy/compose.yaml.
func compose(t *testing.T) map[string]any {
	t.Helper()
	return at(decode(t, "deploy/compose.yaml"), "services").(map[string]any)
}

// TestDeployCompose: the files that a service refers to exist.
func TestDeployCompose(t *testing.T) {
	for _, s := range compose(t) {
		if at(s, "build") != nil {
			exists(t, filepath.Join("deploy", text(at(s, "build.context")), text(at(s, "build.dockerfile"))))
		}
		for _, mount := range texts(at(s, "volumes")) {
			if source, _, _ := strings.Cut(mount, ":"); strings.HasPrefix(source, ".") {
				exists(t, filepath.Join("deploy", source))
			}
		}
	}
}

// TestDeployComposeStub: the stub, Kong and kong.yml agree on addresses.
func TestDeployComposeStub(t *testing.T) {
	expect(t, "the stub's network", at(compose(t), "stub.network_mode"), "service:kong")
	stub, config := read(t, "test/stub/main.go"), read(t, "deploy/compose/kong.yml")
	for option, address := range map[string]string{"provider": "127.0.0.1:9001", "api": "127.0.0.1:9002"} {
		contains(t, "the stub", stub, `"`+option+`", "`+address+`"`)
		contains(t, "kong.yml", config, "  url: http://"+address+" #")
	}
	contains(t, "the keys that the stub's API trusts", stub, `"jwks", "http://127.0.0.1:8000/m2m/jwks.json"`)
}

// TestDeployComposeKong: Kong gets the settings of the README and the files that
// the other services make. Redis has the users of docs/redis.md.
func TestDeployComposeKong(t *testing.T) {
	services := compose(t)
	env := at(services, "kong.environment").(map[string]any)
	for name, value := range kongConf(t, elsewhere) {
		expect(t, name, env["KONG_"+strings.ToUpper(name)], value)
	}
	expect(t, "Kong's password", env["REDIS_PASSWORD"], redistest.ReaderPassword)
	expect(t, "Kong's files", texts(at(services, "kong.volumes")),
		[]string{"./compose/kong.yml:" + text(env["KONG_DECLARATIVE_CONFIG"]) + ":ro", "keys:" + filepath.Dir(keyFile) + ":ro"})
	expect(t, "the key's volume", texts(at(services, "keys.volumes")), []string{"keys:" + filepath.Dir(keyFile)})
	contains(t, "what makes the key file", text(at(services, "keys.command.0")), "keys generate "+keyFile+"\n")
	expect(t, "who writes records", at(services, "records.environment"),
		map[string]any{"M2M_REDIS_USERNAME": redistest.Writer, "M2M_REDIS_PASSWORD": redistest.WriterPassword})
	expect(t, "users.acl", read(t, "deploy/compose/users.acl"), "user default off\n"+
		"user "+strings.Join(redistest.ACL(t, redistest.Reader), " ")+"\n"+
		"user "+strings.Join(redistest.ACL(t, redistest.Writer), " ")+"\n")
	expect(t, "Redis's files", texts(at(services, "redis.volumes")), []string{"./compose/users.acl:" + text(at(services, "redis.command.2")) + ":ro"})
	expect(t, "Redis's check", at(services, "redis.healthcheck.test.1"),
		"REDISCLI_AUTH="+redistest.ReaderPassword+" redis-cli --user "+redistest.Reader+" ping | grep -q PONG")
}
