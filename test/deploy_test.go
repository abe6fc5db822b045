package test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
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

// decode returns the YAML file at path.
func decode(t *testing.T, path string) any {
	t.Helper()
	return decodeText(t, path, read(t, path))
}

func decodeText(t *testing.T, path, text string) (doc any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &doc); err != nil { // no member twice
		t.Fatalf("%s: %v", path, err)
	}
	return doc
}

// at returns what stands in doc at a path such as "services.0.name", which may
// be given in parts. It is nil if nothing does.
func at(doc any, path ...string) any {
	for _, name := range strings.Split(strings.Join(path, "."), ".") {
		switch parent := doc.(type) {
		case map[string]any:
			doc = parent[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(parent) {
				return nil
			}
			doc = parent[i]
		default:
			return nil
		}
	}
	return doc
}

func text(value any) string { return fmt.Sprint(value) }

func texts(list any) []string {
	values, _ := list.([]any)
	all := make([]string, len(values))
	for i, value := range values {
		all[i] = text(value)
	}
	return all
}

// pluginConfig is where a kong.yml has the plugin's configuration.
const pluginConfig = "services.0.plugins.0.config"

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

// TestDeployImages: what a Dockerfile copies was built, into the place that
// kong.conf names, and the versions are those of go.mod and the README.
func TestDeployImages(t *testing.T) {
	start := strings.Fields(kongConf(t, elsewhere)["pluginserver_m2m_token_enricher_start_cmd"])[0]
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	kong := regexp.MustCompile(`(?m)^FROM (kong:\S+)$`).FindStringSubmatch(read(t, "README.md"))[1]
	image := stages(t, "deploy/Dockerfile")
	expect(t, "builder", image[0][0].rest, "golang:"+goVersion+" AS build")
	expect(t, "Kong", image[2][0].rest, kong)
	expect(t, "the binary's place", strings.Fields(image[2][1].rest)[4], start)
	stub := stages(t, "deploy/compose/stub.Dockerfile")
	expect(t, "the stub's builder", stub[0][:5], image[0][:5])
	expect(t, "what the stub's build leaves out", read(t, "deploy/compose/stub.Dockerfile.dockerignore"), read(t, "deploy/Dockerfile.dockerignore"))
	for _, i := range image[1] {
		if source, ok := strings.CutPrefix(i.rest, "--from=build /src/"); ok && !slices.Contains(built(t), strings.Fields(source)[0]) {
			t.Errorf("deploy/Dockerfile copies %s, which make build doesn't make", source)
		}
	}
}

// TestDeployKongYMLs: they are the repository's kong.yml except for addresses
// and Redis's user.
func TestDeployKongYMLs(t *testing.T) {
	for path, addresses := range map[string][]string{
		"deploy/compose/kong.yml":    {"services.0.url", "services.1.url", pluginConfig + ".jwks_uri"},
		"deploy/kubernetes/kong.yml": {},
	} {
		got, want := decode(t, path), decode(t, "kong.yml")
		if _, err := schema.Parse(at(got, pluginConfig).(map[string]any)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		redis := at(got, pluginConfig+".redis").(map[string]any)
		expect(t, path+": user", redis["username"], redistest.Reader)
		expect(t, path+": password", redis["password"], "{vault://env/redis-password}")
		for _, doc := range []any{got, want} {
			for _, own := range append(addresses, pluginConfig+".redis.username", pluginConfig+".redis.password") {
				dot := strings.LastIndex(own, ".")
				delete(at(doc, own[:dot]).(map[string]any), own[dot+1:])
			}
		}
		services := at(got, "services").([]any)
		expect(t, path, services, at(want, "services").([]any)[:len(services)])
	}
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
