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

// TestDeployCompose: what a service refers to is there.
func TestDeployCompose(t *testing.T) {
	file, services := decode(t, "deploy/compose.yaml"), compose(t)
	for name, s := range services {
		if at(s, "build") != nil {
			exists(t, filepath.Join("deploy", text(at(s, "build.context")), text(at(s, "build.dockerfile"))))
		}
		others, _ := at(s, "depends_on").(map[string]any)
		for other, on := range others {
			want := "service_healthy"
			if at(services, other, "entrypoint") != nil {
				want = "service_completed_successfully" // it runs once
			} else if at(services, other, "healthcheck") == nil {
				t.Errorf("%s waits for %s, which has no health check", name, other)
			}
			expect(t, name+" waits for "+other, at(on, "condition"), want)
		}
		for _, mount := range texts(at(s, "volumes")) {
			source, _, _ := strings.Cut(mount, ":")
			if _, declared := at(file, "volumes").(map[string]any)[source]; !declared {
				exists(t, filepath.Join("deploy", source))
			}
		}
	}
	if rest := strings.ReplaceAll(read(t, "deploy/compose.yaml"), "$$", ""); strings.Contains(rest, "$") {
		t.Error("deploy/compose.yaml has a $, which compose takes for one of its own variables")
	}
}

// TestDeployComposeStub: the stub, Kong and kong.yml agree on addresses.
func TestDeployComposeStub(t *testing.T) {
	expect(t, "the stub's network", at(compose(t), "stub.network_mode"), "service:kong")
	stub, config := read(t, "test/stub/main.go"), read(t, "deploy/compose/kong.yml")
	for option, address := range map[string]string{"provider": "127.0.0.1:9001", "api": "127.0.0.1:9002"} {
		if !strings.Contains(stub, `"`+option+`", "`+address+`"`) || !strings.Contains(config, "  url: http://"+address+" #") {
			t.Errorf("stub and kong.yml don't agree on the address of the %s", option)
		}
	}
	if !strings.Contains(stub, `"jwks", "http://127.0.0.1:8000/m2m/jwks.json"`) {
		t.Error("the stub's API doesn't trust Kong's keys")
	}
}

// TestDeployComposeKong: Kong gets the settings of the README and finds what
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
	if !strings.Contains(text(at(services, "keys.command.0")), "keys generate "+keyFile+"\n") {
		t.Error("nobody makes the key file")
	}
	expect(t, "who writes records", at(services, "records.environment"),
		map[string]any{"M2M_REDIS_USERNAME": redistest.Writer, "M2M_REDIS_PASSWORD": redistest.WriterPassword})
	expect(t, "users.acl", read(t, "deploy/compose/users.acl"), "user default off\n"+
		"user "+strings.Join(redistest.ACL(t, redistest.Reader), " ")+"\n"+
		"user "+strings.Join(redistest.ACL(t, redistest.Writer), " ")+"\n")
	expect(t, "Redis's files", texts(at(services, "redis.volumes")), []string{"./compose/users.acl:" + text(at(services, "redis.command.2")) + ":ro"})
	expect(t, "Redis's check", at(services, "redis.healthcheck.test.1"),
		"REDISCLI_AUTH="+redistest.ReaderPassword+" redis-cli --user "+redistest.Reader+" ping | grep -q PONG")
}
