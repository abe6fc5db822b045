package test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

const (
	keyFile   = "/etc/kong/m2m/keys.json"
	elsewhere = "/kong_prefix" // Kong's prefix in a container that is read-only
)

// decode decodes the YAML file at path; a field that into hasn't is a mistake.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	decodeText(t, path, read(t, path), into)
}

func decodeText(t *testing.T, path, text string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// kongConf is the README's kong.conf for a Kong with that prefix.
func kongConf(t *testing.T, prefix string) map[string]string {
	t.Helper()
	conf := settings(read(t, "README.md"))
	for name, value := range conf {
		conf[name] = strings.ReplaceAll(value, "/usr/local/kong", prefix)
	}
	if len(conf) != 5 {
		t.Fatalf("the README's kong.conf has %d settings", len(conf))
	}
	return conf
}

func settings(text string) map[string]string {
	conf := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(plugins|pluginserver_\w+) = (.+)$`).FindAllStringSubmatch(text, -1) {
		conf[m[1]] = m[2]
	}
	return conf
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// instruction is one of a Dockerfile's.
type instruction struct{ word, rest string }

// stages are the stages of a Dockerfile, each beginning with its FROM.
func stages(t *testing.T, path string) [][]instruction {
	t.Helper()
	var all [][]instruction
	for _, line := range strings.Split(read(t, path), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case word == "FROM":
			all = append(all, nil)
		case !slices.Contains([]string{"COPY", "RUN", "USER", "WORKDIR", "ENTRYPOINT"}, word) || len(all) == 0:
			t.Fatalf("%s: %q", path, line)
		}
		all[len(all)-1] = append(all[len(all)-1], instruction{word, rest})
	}
	return all
}

// built are the files that "make build" makes.
func built(t *testing.T) []string {
	t.Helper()
	text := read(t, "Makefile")
	binary := regexp.MustCompile(`(?m)^BINARY +:= (\S+)$`).FindStringSubmatch(text)[1]
	var files []string
	for _, target := range strings.Fields(regexp.MustCompile(`(?m)^build: (.+)$`).FindStringSubmatch(text)[1]) {
		_, recipe, _ := strings.Cut(text, "\n"+target+":\n")
		out := regexp.MustCompile(`^\t.* -o (\S+) `).FindStringSubmatch(recipe)
		files = append(files, strings.ReplaceAll(out[1], "$(BINARY)", binary))
	}
	return files
}

// TestDeployImages: what a Dockerfile copies is there or was built, and the
// last stage is Kong with the binary that kong.conf names.
func TestDeployImages(t *testing.T) {
	start := strings.Fields(kongConf(t, elsewhere)["pluginserver_m2m_token_enricher_start_cmd"])[0]
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	kong := regexp.MustCompile(`(?m)^FROM (kong:\S+)$`).FindStringSubmatch(read(t, "README.md"))[1]
	expect(t, "deploy/Dockerfile", stages(t, "deploy/Dockerfile"), [][]instruction{
		{{"FROM", "golang:" + goVersion + " AS build"}, {"WORKDIR", "/src"}, {"COPY", "go.mod go.sum ./"},
			{"RUN", "go mod download"}, {"COPY", ". ."}, {"RUN", "make build"}},
		{{"FROM", "scratch AS binary"},
			{"COPY", "--from=build /src/bin/m2m-token-enricher /m2m-token-enricher"},
			{"COPY", "--from=build /src/bin/libcrypto/m2m-token-enricher /libcrypto/m2m-token-enricher"}},
		{{"FROM", kong}, {"COPY", "--from=binary --chown=root:root --chmod=0755 /libcrypto/m2m-token-enricher " + start}, {"USER", "kong"}},
	})
	for _, path := range []string{"deploy/Dockerfile", "deploy/compose/stub.Dockerfile"} {
		for _, stage := range stages(t, path) {
			for _, i := range stage {
				if source, ok := strings.CutPrefix(i.rest, "--from=build /src/"); ok && !slices.Contains(built(t), strings.Fields(source)[0]) {
					t.Errorf("%s copies %s, which make build doesn't make", path, source)
				}
			}
		}
	}
	stub := stages(t, "deploy/compose/stub.Dockerfile")
	expect(t, "the builder", stub[0][:5], stages(t, "deploy/Dockerfile")[0][:5])
	expect(t, "the stub", stub[0][5].rest, "CGO_ENABLED=0 go build -trimpath -o /stub ./test/stub")
	expect(t, "the stub's image", stub[1], []instruction{{"FROM", "scratch"}, {"COPY", "--from=build /stub /stub"}, {"ENTRYPOINT", `["/stub"]`}})
	expect(t, "what builds leave out", read(t, "deploy/compose/stub.Dockerfile.dockerignore"), read(t, "deploy/Dockerfile.dockerignore"))
}

// TestDeployKongYMLs: they are the repository's kong.yml but for addresses and
// Redis's user.
func TestDeployKongYMLs(t *testing.T) {
	var want map[string]any
	decode(t, "kong.yml", &want)
	services := want["services"].([]any)
	for path, edit := range map[string]func(services []any){
		"deploy/compose/kong.yml": func(services []any) {
			expect(t, "the stub's provider", config(services)["jwks_uri"], "http://127.0.0.1:9001/.well-known/jwks")
			delete(config(services), "jwks_uri")
			at(services, 0)["url"], at(services, 1)["url"] = at(want["services"].([]any), 0)["url"], at(want["services"].([]any), 1)["url"]
		},
		"deploy/kubernetes/kong.yml": func([]any) {},
	} {
		var got map[string]any
		decode(t, path, &got)
		if _, err := schema.Written(config(got["services"].([]any))); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		edit(got["services"].([]any))
		redis := config(got["services"].([]any))["redis"].(map[string]any)
		expect(t, path+": user", redis["username"], redistest.Reader)
		expect(t, path+": password", redis["password"], "{vault://env/redis-password}")
		delete(redis, "username")
		delete(redis, "password")
		expect(t, path, got, map[string]any{"_format_version": want["_format_version"], "services": services[:len(got["services"].([]any))]})
		expect(t, path+": key file", config(got["services"].([]any))["signing"], map[string]any{"jwks_file": keyFile})
	}
}

func at(services []any, i int) map[string]any { return services[i].(map[string]any) }

// config is the plugin's configuration on the first service.
func config(services []any) map[string]any {
	return at(at(services, 0)["plugins"].([]any), 0)["config"].(map[string]any)
}

func exists(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("..", path)); err != nil {
		t.Error(err)
	}
}

// TestDeployHosts: the host's kong.conf is the README's, and its units call
// commands as the other pages do.
func TestDeployHosts(t *testing.T) {
	conf := read(t, "deploy/systemd/kong.conf")
	expect(t, "kong.conf", settings(conf), kongConf(t, "/usr/local/kong"))
	for _, line := range strings.Split(strings.TrimSpace(conf), "\n") {
		if !regexp.MustCompile(`^(#.*|plugins = .*|pluginserver_.* = .*|database = off|declarative_config = /etc/kong/kong\.yml)$`).MatchString(line) {
			t.Errorf("kong.conf: %q", line)
		}
	}
	cron := regexp.MustCompile(`(?m)^17 \* \* \* \* (.*)$`).FindStringSubmatch(read(t, "docs/keys.md"))
	rotate := unit(t, "deploy/systemd/m2m-keys-rotate.service")
	expect(t, "the rotation", rotate["Service.ExecStart"], cron[1])
	expect(t, "what it may write", rotate["Service.ReadWritePaths"], filepath.Dir(keyFile))
	expect(t, "its time", unit(t, "deploy/systemd/m2m-keys-rotate.timer")["Timer.OnCalendar"], "*-*-* *:17:00")

	sync := unit(t, "deploy/systemd/m2m-sync.service")
	command := sync["Service.ExecStart"]
	for name, path := range map[string]string{"kong.yml": "/etc/kong/kong.yml", "client-secret": "/etc/kong/m2m/client-secret", "writer-password": "/etc/kong/m2m/writer-password"} {
		if !strings.Contains(sync["Service.LoadCredential"], name+":"+path+"\n") || !strings.Contains(command, " %d/"+name+" ") {
			t.Errorf("m2m-sync.service: credential %s", name)
		}
	}
	if !strings.Contains(command, " --username "+redistest.Writer+" ") {
		t.Error("m2m-sync.service: who writes records?")
	}
	expect(t, "its state", sync["Service.StateDirectory"], "m2m-sync")
	tryCommand(t, strings.NewReplacer("%d/", "", "%S/", "/var/lib/").Replace(command))
	expect(t, "Kong's environment", unit(t, "deploy/systemd/kong.service.d/m2m.conf")["Service.EnvironmentFile"], "/etc/kong/m2m/redis.env")
}

// unit are the settings of a systemd unit, the values of one that stands there
// several times with a line break behind each.
func unit(t *testing.T, path string) map[string]string {
	t.Helper()
	known := []string{"Unit", "Service", "Timer", "Install"}
	values, section := map[string]string{}, ""
	for _, line := range strings.Split(strings.TrimSpace(read(t, path)), "\n") {
		name, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			if section = strings.Trim(line, "[]"); !slices.Contains(known, section) {
				t.Fatalf("%s: %s", path, line)
			}
		case !ok || section == "":
			t.Fatalf("%s: %q", path, line)
		case name == "LoadCredential":
			values[section+"."+name] += value + "\n"
		default:
			values[section+"."+name] = value
		}
	}
	if exec := values["Service.ExecStart"]; exec != "" && !strings.HasPrefix(exec, "/usr/local/bin/m2m-token-enricher ") {
		t.Errorf("%s starts %s", path, exec)
	}
	return values
}
