package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/test/redistest"
)

const (
	keyFile   = "/etc/kong/m2m/keys.json"
	elsewhere = "/kong_prefix" // Kong's prefix in a container that is read-only

	// pluginConfig is where a kong.yml has the plugin's configuration.
	pluginConfig = "services.0.plugins.0.config"
)

// kongConf is the README's kong.conf for a Kong with that prefix.
func kongConf(t *testing.T, prefix string) map[string]string {
	t.Helper()
	conf := settings(strings.ReplaceAll(read(t, "README.md"), "/usr/local/kong", prefix))
	if len(conf) != 5 {
		t.Fatalf("the README's kong.conf has %d settings, want 5", len(conf))
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

// tryCommand checks the flags of a command of the product without running it.
func tryCommand(t *testing.T, command string) {
	t.Helper()
	args, found := strings.CutPrefix(command, "/usr/local/bin/m2m-token-enricher ")
	if !found {
		t.Errorf("got %q, want the binary where the image and the README put it", command)
	}
	runProduct(t, append(strings.Fields(args), "-help")...)
}

// builtBinaries are the binaries that "make build" makes.
func builtBinaries(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, m := range regexp.MustCompile(`-o (\S+) \./cmd/`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		files = append(files, strings.ReplaceAll(m[1], "$(BINARY)", match(t, "Makefile", `^BINARY +:= (\S+)$`)))
	}
	return files
}

// TestDeployImages: a Dockerfile copies what make builds to the place that
// kong.conf names. The versions are those of go.mod and the README.
func TestDeployImages(t *testing.T) {
	image, stub := read(t, "deploy/Dockerfile"), read(t, "deploy/compose/stub.Dockerfile")
	builder := "FROM golang:" + match(t, "go.mod", `^go (\d+\.\d+)`) + " AS build\n"
	binary, _, _ := strings.Cut(kongConf(t, elsewhere)["pluginserver_m2m_token_enricher_start_cmd"], " ")
	contains(t, "deploy/Dockerfile", image, builder, match(t, "README.md", `^(FROM kong:\S+\n)`), " "+binary+"\n")
	contains(t, "deploy/compose/stub.Dockerfile", stub, builder)
	for _, m := range regexp.MustCompile(`--from=build /src/(\S+)`).FindAllStringSubmatch(image, -1) {
		if !slices.Contains(builtBinaries(t), m[1]) {
			t.Errorf("deploy/Dockerfile copies %s, but make builds %v", m[1], builtBinaries(t))
		}
	}
	expect(t, "the stub's .dockerignore", read(t, "deploy/compose/stub.Dockerfile.dockerignore"), read(t, "deploy/Dockerfile.dockerignore"))
}

// TestDeployKongYMLs: they equal the repository's kong.yml, except for addresses
// and Redis's user.
func TestDeployKongYMLs(t *testing.T) {
	for path, addresses := range map[string][]string{
		"deploy/compose/kong.yml":    {"services.0.url", "services.1.url", pluginConfig + ".jwks_uri"},
		"deploy/kubernetes/kong.yml": {},
	} {
		got, want := decode(t, path), decode(t, "kong.yml")
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

// TestDeployHosts: the host's kong.conf is the README's, and the units run
// commands as the other pages do.
func TestDeployHosts(t *testing.T) {
	expect(t, "kong.conf", settings(read(t, "deploy/systemd/kong.conf")), kongConf(t, "/usr/local/kong"))
	crontab := match(t, "docs/keys.md", `^17 \* \* \* \* (.*\n)`)
	contains(t, "the rotation", read(t, "deploy/systemd/m2m-keys-rotate.service"), "\nExecStart="+crontab, "\nReadWritePaths="+filepath.Dir(keyFile)+"\n")
	contains(t, "its timer", read(t, "deploy/systemd/m2m-keys-rotate.timer"), "\nOnCalendar=*-*-* *:17:00\n")

	sync, page := read(t, "deploy/systemd/m2m-sync.service"), read(t, "docs/deploy.md")
	for name, path := range map[string]string{"kong.yml": "/etc/kong/kong.yml", "client-secret": "/etc/kong/m2m/client-secret", "writer-password": "/etc/kong/m2m/writer-password"} {
		contains(t, "m2m-sync.service", sync, "\nLoadCredential="+name+":"+path+"\n", " %d/"+name+" ")
		contains(t, "docs/deploy.md", page, path)
	}
	contains(t, "m2m-sync.service", sync, " --username "+redistest.Writer+" ", "\nStateDirectory=m2m-sync\n")
	tryCommand(t, strings.NewReplacer("%d/", "", "%S/", "/var/lib/").Replace(match(t, "deploy/systemd/m2m-sync.service", `^ExecStart=(.*)$`)))
	contains(t, "docs/deploy.md", page, "`"+match(t, "deploy/systemd/kong.service.d/m2m.conf", `^EnvironmentFile=(.*)$`)+"`")
}

// TestDeployPage: the page names every file in deploy/ that a reader uses.
func TestDeployPage(t *testing.T) {
	page := read(t, "docs/deploy.md")
	err := filepath.WalkDir("../deploy", func(path string, entry os.DirEntry, err error) error {
		part := strings.Contains(path, "/compose/") || strings.HasSuffix(path, ".dockerignore") || strings.HasPrefix(entry.Name(), "m2m-keys-rotate")
		if err == nil && !entry.IsDir() && !part {
			contains(t, "docs/deploy.md", page, strings.TrimPrefix(path, "../"))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
