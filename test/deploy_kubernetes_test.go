package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// manifest decodes the document of kind in a file of manifests.
func manifest(t *testing.T, path, apiVersion, of string, into any) {
	t.Helper()
	for _, text := range strings.Split(read(t, path), "\n---\n") {
		var k kind
		if err := yaml.Unmarshal([]byte(text), &k); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if k.Kind != of {
			continue
		}
		if k.APIVersion != apiVersion || k.Metadata.Namespace != "kong" {
			t.Errorf("%s: %s of %s in the namespace %s", path, of, k.APIVersion, k.Metadata.Namespace)
		}
		decodeText(t, path, text, into)
		return
	}
	t.Fatalf("%s has no %s", path, of)
}

func values(t *testing.T) (v chartValues, dbless dblessValues) {
	t.Helper()
	decode(t, "deploy/kubernetes/values.yaml", &v)
	decode(t, "deploy/kubernetes/values-dbless.yaml", &dbless)
	return v, dbless
}

// TestDeployValues: the chart's Kong is told what the README says, at the
// chart's prefix, and has the key file where the configurations look for it.
func TestDeployValues(t *testing.T) {
	v, dbless := values(t)
	expect(t, "prefix", v.Env["prefix"], elsewhere+"/")
	start := regexp.MustCompile(`^env GOMEMLIMIT=192MiB (.*)$`).FindStringSubmatch(v.Env["pluginserver_m2m_token_enricher_start_cmd"])
	if start == nil {
		t.Fatal("start_cmd has no GOMEMLIMIT")
	}
	want := kongConf(t, elsewhere)
	want["prefix"], want["pluginserver_m2m_token_enricher_start_cmd"] = elsewhere+"/", start[0]
	expect(t, "env", v.Env, want)
	expect(t, "start_cmd", start[1], kongConf(t, elsewhere)["pluginserver_m2m_token_enricher_start_cmd"])
	if maxBytes := schema.ForKong("").Fields[2]; cacheBytes(t, maxBytes)*3 != 192<<20 {
		t.Error("GOMEMLIMIT isn't three times cache.max_bytes")
	}
	expect(t, "Kong's version", "kong:"+strings.TrimSuffix(v.Image.EffectiveSemver, ".0"),
		strings.TrimSpace(stages(t, "deploy/Dockerfile")[2][0].rest))
	keys := v.Deployment.UserDefinedVolumes[0]
	expect(t, "key file's mode", keys.Secret.DefaultMode, 0o440)
	expect(t, "key file's place", v.Deployment.UserDefinedVolumeMounts, []mount{{keys.Name, filepath.Dir(keyFile), true}})
	expect(t, "group", v.SecurityContext, security{FSGroup: v.ContainerSecurityContext.RunAsUser})
	expect(t, "rights", v.ContainerSecurityContext, security{ReadOnlyRootFilesystem: true, RunAsUser: 1000, RunAsNonRoot: true,
		SeccompProfile: map[string]string{"type": "RuntimeDefault"}, Capabilities: map[string][]string{"drop": {"ALL"}}})
	expect(t, "resources", v.Resources, resources{map[string]string{"cpu": "1", "memory": "768Mi"}, map[string]string{"memory": "1Gi"}})
	if !v.PodDisruptionBudget.Enabled || v.ReplicaCount <= v.PodDisruptionBudget.MaxUnavailable || v.UpdateStrategy.RollingUpdate["maxUnavailable"] != 0 {
		t.Error("an upgrade may leave no pod")
	}

	expect(t, "controller without which", dbless.IngressController.Enabled, false)
	reference := "{vault://env/" + strings.ReplaceAll("redis_password", "_", "-") + "}"
	if _, ok := dbless.CustomEnv["redis_password"]; !ok || !strings.Contains(read(t, "deploy/kubernetes/kong.yml"), reference) {
		t.Errorf("nothing sets the variable of %s", reference)
	}
}

func cacheBytes(t *testing.T, config schema.Field) int {
	t.Helper()
	for _, f := range config.Fields {
		for _, sub := range f.Fields {
			if f.Name == "cache" && sub.Name == "max_bytes" {
				return sub.Default.(int)
			}
		}
	}
	t.Fatal("no cache.max_bytes")
	return 0
}

// TestDeployKongPlugin: the KongPlugin says what kong.yml says, the password
// aside, which comes from the Secret.
func TestDeployKongPlugin(t *testing.T) {
	var p kongPlugin
	manifest(t, "deploy/kubernetes/plugin.yaml", "configuration.konghq.com/v1", "KongPlugin", &p)
	expect(t, "plugin", p.Plugin, "m2m-token-enricher")
	if len(p.ConfigPatches) != 1 || p.ConfigPatches[0].Path != "/redis/password" {
		t.Fatalf("patches %v", p.ConfigPatches)
	}
	p.Config["redis"].(map[string]any)["password"] = "{vault://env/redis-password}"
	if _, err := schema.Written(p.Config); err != nil {
		t.Error(err)
	}
	var declared map[string]any
	decode(t, "deploy/kubernetes/kong.yml", &declared)
	expect(t, "the KongPlugin's configuration", p.Config, config(declared["services"].([]any)))
}

// TestDeployRoute: the Ingress routes what the service in kong.yml does.
func TestDeployRoute(t *testing.T) {
	var s service
	var i ingress
	var p kongPlugin
	manifest(t, "deploy/kubernetes/route.yaml", "v1", "Service", &s)
	manifest(t, "deploy/kubernetes/route.yaml", "networking.k8s.io/v1", "Ingress", &i)
	manifest(t, "deploy/kubernetes/plugin.yaml", "configuration.konghq.com/v1", "KongPlugin", &p)
	var declared map[string]any
	decode(t, "deploy/kubernetes/kong.yml", &declared)
	provider := at(declared["services"].([]any), 0)

	expect(t, "Service", "https://"+s.Spec.ExternalName, provider["url"])
	expect(t, "Service's type", s.Spec.Type, "ExternalName")
	expect(t, "Service's annotations", s.Metadata.Annotations,
		map[string]string{"konghq.com/protocol": "https", "konghq.com/host-header": s.Spec.ExternalName})
	expect(t, "Ingress's annotations", i.Metadata.Annotations, map[string]string{"konghq.com/plugins": p.Metadata.Name,
		"konghq.com/strip-path": "false", "konghq.com/preserve-host": "false", "konghq.com/protocols": "https"})
	expect(t, "Ingress's class", i.Spec.IngressClassName, "kong")
	expect(t, "TLS", i.Spec.TLS[0].Hosts, []string{i.Spec.Rules[0].Host})
	var paths []any
	for _, path := range i.Spec.Rules[0].HTTP.Paths {
		expect(t, path.Path, path.PathType, "Exact")
		expect(t, path.Path, path.Backend.Service.Name, s.Metadata.Name)
		expect(t, path.Path, path.Backend.Service.Port.Number, s.Spec.Ports[0].Port)
		paths = append(paths, "~"+strings.ReplaceAll(path.Path, ".", "[.]")+"$")
	}
	expect(t, "paths", paths, at(provider["routes"].([]any), 0)["paths"])
}

// TestDeploySync: the Deployment's command and its files agree.
func TestDeploySync(t *testing.T) {
	var d deployment
	manifest(t, "deploy/kubernetes/sync.yaml", "apps/v1", "Deployment", &d)
	v, _ := values(t)
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	expect(t, "image", c.Image, v.Image.Repository+":"+v.Image.Tag)
	expect(t, "labels", d.Spec.Template.Metadata.Labels, d.Spec.Selector.MatchLabels)
	expect(t, "replicas", d.Spec.Replicas, 1)
	expect(t, "strategy", d.Spec.Strategy.Type, "Recreate")
	expect(t, "mounts", c.VolumeMounts, []mount{{pod.Volumes[0].Name, "/etc/m2m", true}, {pod.Volumes[1].Name, "/var/lib/m2m", false}})
	if pod.Volumes[0].ConfigMap == nil || pod.Volumes[1].EmptyDir == nil {
		t.Error("volumes")
	}
	expect(t, "args", c.Args, strings.Fields("sync kinde -c /etc/m2m/kong.yml --every 1m --state /var/lib/m2m/kinde.state --health :9543"))
	tryCommand(t, strings.Join(append(slices.Clone(c.Command), c.Args...), " "))
	expect(t, "port", c.Ports[0].ContainerPort, 9543)
	expect(t, "probe", c.ReadinessProbe.HTTPGet.Path+" "+c.ReadinessProbe.HTTPGet.Port, "/healthz "+c.Ports[0].Name)
	expect(t, "rights", c.SecurityContext, security{ReadOnlyRootFilesystem: true, Capabilities: map[string][]string{"drop": {"ALL"}}})
	expect(t, "user", pod.SecurityContext.RunAsUser, v.ContainerSecurityContext.RunAsUser)
	expect(t, "service account", pod.AutomountServiceAccountToken, false)
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value + e.ValueFrom.SecretKeyRef.Key
	}
	expect(t, "environment", env, map[string]string{"GOMEMLIMIT": "96MiB", "M2M_REDIS_USERNAME": redistest.Writer,
		"M2M_REDIS_PASSWORD": "writer-password", "KINDE_CLIENT_ID": "client-id", "KINDE_CLIENT_SECRET": "client-secret"})
}

// TestDeploySecrets: the page makes each Secret and ConfigMap that something
// refers to, and no other.
func TestDeploySecrets(t *testing.T) {
	var p kongPlugin
	var d deployment
	manifest(t, "deploy/kubernetes/plugin.yaml", "configuration.konghq.com/v1", "KongPlugin", &p)
	manifest(t, "deploy/kubernetes/sync.yaml", "apps/v1", "Deployment", &d)
	v, dbless := values(t)
	pod := d.Spec.Template.Spec
	used := map[secretKey]bool{
		p.ConfigPatches[0].ValueFrom.SecretKeyRef:                                      true,
		dbless.CustomEnv["redis_password"].ValueFrom.SecretKeyRef:                      true,
		{v.Deployment.UserDefinedVolumes[0].Secret.SecretName, filepath.Base(keyFile)}: true,
		{dbless.DBLessConfig.ConfigMap, "kong.yml"}:                                    true,
		{pod.Volumes[0].ConfigMap.Name, filepath.Base(pod.Containers[0].Args[3])}:      true,
	}
	for _, e := range pod.Containers[0].Env {
		if e.ValueFrom.SecretKeyRef.Name != "" {
			used[e.ValueFrom.SecretKeyRef] = true
		}
	}
	made := map[secretKey]bool{}
	for _, m := range regexp.MustCompile(`(?m)^kubectl -n kong create (?:secret generic|configmap) (\S+) (.*)$`).FindAllStringSubmatch(read(t, "docs/deploy.md"), -1) {
		for _, from := range strings.Fields(m[2]) {
			name, value, _ := strings.Cut(strings.TrimPrefix(from, "--from-"), "=")
			key, _, _ := strings.Cut(filepath.Base(value), "=")
			if name != "file" && name != "literal" {
				t.Errorf("kubectl create: %s", from)
			}
			made[secretKey{m[1], key}] = true
		}
	}
	expect(t, "Secrets", made, used)
}

// fakeKubectl keeps the Secret in files beside it.
const fakeKubectl = `#!/bin/sh
cd "$(dirname "$0")"
case "$*" in
"-n kong get secret m2m-keys -o jsonpath={.data.keys\.json}") base64 keys.json ;;
"-n kong create secret generic m2m-keys --from-file=keys.json="*" --dry-run=client -o yaml") cat "${7#--from-file=keys.json=}" ;;
"-n kong replace -f -") cat > replaced.json ;;
*) echo "kubectl $*" >&2; exit 1 ;;
esac
`

// TestDeployRotateKeys runs the script while nothing is due, and then with a
// key that signs since 2001.
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
	if err != nil || strings.Count(string(replaced), `"kid"`) != 2 {
		t.Errorf("no key was added: %v", err)
	}
}
