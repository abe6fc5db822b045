package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"m2m-token-enricher/test/redistest"
)

const values, dbless = "deploy/kubernetes/values.yaml", "deploy/kubernetes/values-dbless.yaml"

// manifest returns the document of kind in a file of deploy/kubernetes.
func manifest(t *testing.T, file, kind string) any {
	t.Helper()
	path := "deploy/kubernetes/" + file
	for _, text := range strings.Split(read(t, path), "\n---\n") {
		if doc := decodeText(t, path, text); at(doc, "kind") == kind {
			return doc
		}
	}
	t.Fatalf("%s has no %s", path, kind)
	return nil
}

// TestDeployValues: the chart's Kong gets the settings of the README, at the
// chart's prefix, and has the key file where the configurations look for it.
func TestDeployValues(t *testing.T) {
	v := decode(t, values)
	const start = "pluginserver_m2m_token_enricher_start_cmd"
	want := map[string]any{"prefix": elsewhere + "/"}
	for name, value := range kongConf(t, elsewhere) {
		want[name] = value
	}
	cacheBytes, err := strconv.Atoi(match(t, "docs/configuration.md", `^  max_bytes: (\d+)`))
	if err != nil {
		t.Fatal(err)
	}
	want[start] = fmt.Sprintf("env GOMEMLIMIT=%dMiB %s", 3*cacheBytes>>20, want[start]) // docs/deploy.md, Sizing
	expect(t, "env", at(v, "env"), any(want))
	expect(t, "Kong's version", at(v, "image.effectiveSemver"), any(match(t, "deploy/Dockerfile", `^FROM kong:(\S+)`)+".0"))
	expect(t, "key file's folder", at(v, "deployment.userDefinedVolumeMounts.0.mountPath"), filepath.Dir(keyFile))
	expect(t, "who may read the key file", at(v, "securityContext.fsGroup"), at(v, "containerSecurityContext.runAsUser"))
	if at(decode(t, dbless), "customEnv.redis_password") == nil {
		t.Error("values-dbless.yaml doesn't set the variable of {vault://env/redis-password} in kong.yml")
	}
}

// TestDeployKongPlugin: the KongPlugin says what kong.yml says, except the
// password, which comes from the Secret.
func TestDeployKongPlugin(t *testing.T) {
	p := manifest(t, "plugin.yaml", "KongPlugin")
	expect(t, "patch", at(p, "configPatches.0.path"), "/redis/password")
	config := at(p, "config").(map[string]any)
	config["redis"].(map[string]any)["password"] = "{vault://env/redis-password}"
	expect(t, "the KongPlugin's configuration", any(config), at(decode(t, "deploy/kubernetes/kong.yml"), pluginConfig))
}

// TestDeployRoute: the Ingress routes what the service in kong.yml does.
func TestDeployRoute(t *testing.T) {
	provider, route := at(decode(t, "deploy/kubernetes/kong.yml"), "services.0"), read(t, "deploy/kubernetes/route.yaml")
	contains(t, "route.yaml", route, "externalName: "+strings.TrimPrefix(text(at(provider, "url")), "https://")+" ",
		"konghq.com/plugins: "+text(at(manifest(t, "plugin.yaml", "KongPlugin"), "metadata.name"))+"\n", `konghq.com/strip-path: "false"`)
	for _, path := range texts(at(provider, "routes.0.paths")) {
		exact := strings.NewReplacer("~", "", "[.]", ".", "$", "").Replace(path)
		contains(t, "route.yaml", route, "- path: "+exact+"\n        pathType: Exact\n        backend: {service: {name: m2m-provider, port: {number: 443}}}\n")
	}
}

// TestDeploySync: the program knows the Deployment's command. The command finds
// its files where they are mounted and writes as the user of docs/redis.md.
func TestDeploySync(t *testing.T) {
	pod := at(manifest(t, "sync.yaml", "Deployment"), "spec.template.spec")
	c := at(pod, "containers.0")
	v := decode(t, values)
	expect(t, "image", at(c, "image"), any(text(at(v, "image.repository"))+":"+text(at(v, "image.tag"))))
	expect(t, "user", at(pod, "securityContext.runAsUser"), at(v, "containerSecurityContext.runAsUser"))
	args := strings.Join(texts(at(c, "args")), " ")
	tryCommand(t, strings.Join(texts(at(c, "command")), " ")+" "+args)
	for _, i := range []string{"0", "1"} {
		contains(t, "the command", args, " "+text(at(c, "volumeMounts", i, "mountPath"))+"/")
	}
	contains(t, "the command", args, " --health :"+text(at(c, "ports.0.containerPort")))
	contains(t, "docs/deploy.md", read(t, "docs/deploy.md"), "port "+text(at(c, "ports.0.containerPort")))
	expect(t, "who writes records", at(c, "env.1"), map[string]any{"name": "M2M_REDIS_USERNAME", "value": redistest.Writer})
}

// TestDeploySecrets: the page makes each Secret and ConfigMap that a file refers
// to, with the key that the file uses.
func TestDeploySecrets(t *testing.T) {
	v, d := decode(t, values), decode(t, dbless)
	pod := at(manifest(t, "sync.yaml", "Deployment"), "spec.template.spec")
	used := [][2]any{ // the name and the key
		{at(v, "deployment.userDefinedVolumes.0.secret.secretName"), filepath.Base(keyFile)},
		{at(d, "dblessConfig.configMap"), "kong.yml"},
		{at(pod, "volumes.0.configMap.name"), "kong.yml"},
	}
	for _, from := range append(at(pod, "containers.0.env").([]any), at(d, "customEnv.redis_password"), at(manifest(t, "plugin.yaml", "KongPlugin"), "configPatches.0")) {
		if ref := at(from, "valueFrom.secretKeyRef"); ref != nil {
			used = append(used, [2]any{at(ref, "name"), at(ref, "key")})
		}
	}
	page := read(t, "docs/deploy.md")
	for _, u := range used {
		if !regexp.MustCompile(fmt.Sprintf(`create (secret generic|configmap) %s .*--from-(file=(\S*/)?|literal=)%s\b`, u[0], u[1])).MatchString(page) {
			t.Errorf("docs/deploy.md doesn't make %s with the key %s", u[0], u[1])
		}
	}
}

// fakeKubectl keeps the Secret in files beside itself.
const fakeKubectl = `#!/bin/sh
cd "$(dirname "$0")"
case "$*" in
"-n kong get secret m2m-keys -o jsonpath={.data.keys\.json}") base64 keys.json ;;
"-n kong create secret generic m2m-keys --from-file=keys.json="*" --dry-run=client -o yaml") cat "${7#--from-file=keys.json=}" ;;
"-n kong replace -f -") cat > replaced.json ;;
*) echo "kubectl $*" >&2; exit 1 ;;
esac
`

// TestDeployRotateKeys runs the script when nothing is due, and then with a key
// that has signed since 2001.
func TestDeployRotateKeys(t *testing.T) {
	dir := t.TempDir()
	build(t, "./cmd/m2m-token-enricher", dir)
	script := filepath.Join(dir, "rotate-keys.sh")
	for path, text := range map[string]string{script: read(t, "deploy/kubernetes/rotate-keys.sh"), filepath.Join(dir, "kubectl"): fakeKubectl} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(command string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	run("m2m-token-enricher keys generate --type ec keys.json && " + script + " && test ! -e replaced.json")
	run(`sed -i 's/"m2m_\(created\|signing\)": [0-9]*/"m2m_\1": 1000000000/' keys.json && ` + script)
	replaced, err := os.ReadFile(filepath.Join(dir, "replaced.json"))
	if got := strings.Count(string(replaced), `"kid"`); err != nil || got != 2 {
		t.Errorf("after the rotation the Secret has %d keys, want 2: %v", got, err)
	}
}
