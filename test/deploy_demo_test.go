package test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/redistest"
	"m2m-token-enricher/test/stage"
)

// build builds a command of the repository into dir and returns its path.
func build(t *testing.T, pkg, dir string) string {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", dir+"/", pkg)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, filepath.Base(pkg))
}

// tryCommand checks the flags of a command of the plugin's without running it.
func tryCommand(t *testing.T, command string) {
	t.Helper()
	words := strings.Fields(command)
	if words[0] != "/usr/local/bin/m2m-token-enricher" {
		t.Errorf("%s isn't where the image and the README have the binary", words[0])
	}
	cmd := exec.Command("go", append([]string{"run", "./cmd/m2m-token-enricher"}, append(words[1:], "-help")...)...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", command, err, out)
	}
}

// TestDeployDemo plays deploy/compose.yaml with the stand-in: its Redis users,
// its one-shot services' commands, its stub and its kong.yml.
func TestDeployDemo(t *testing.T) {
	dir := t.TempDir()
	plugin, stub := build(t, "./cmd/m2m-token-enricher", dir), build(t, "./test/stub", dir)
	services := compose(t)

	users := strings.TrimPrefix(read(t, "deploy/compose/users.acl"), "user default off\n") // the test's own user
	acl := filepath.Join(dir, "users.acl")
	write(t, acl, users)
	redis := redistest.Start(t, "--aclfile", acl)
	_, redisPort, _ := strings.Cut(redis.Addr(), ":")

	address := func() string { return fmt.Sprintf("127.0.0.1:%d", redistest.FreePort(t)) }
	provider, api := address(), address()
	keys, kongYML := filepath.Join(dir, "keys.json"), filepath.Join(dir, "kong.yml")
	edit := strings.NewReplacer("127.0.0.1:9001", provider, "127.0.0.1:9002", api, keyFile, keys,
		"host: redis\n", "host: 127.0.0.1\n        port: "+redisPort+"\n", "/etc/kong/kong.yml", kongYML, "chown kong", "chown $(id -u)")
	config := edit.Replace(read(t, "deploy/compose/kong.yml"))
	write(t, kongYML, config)
	for _, name := range []string{"keys", "keys", "records"} { // a second time the key stays
		entrypoint := texts(at(services, name, "entrypoint"))
		cmd := exec.Command(entrypoint[0], append(entrypoint[1:], edit.Replace(text(at(services, name, "command.0"))))...)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		environment, _ := at(services, name, "environment").(map[string]any)
		for variable, value := range environment {
			cmd.Env = append(cmd.Env, variable+"="+text(value))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}

	t.Setenv("REDIS_PASSWORD", text(at(services, "kong.environment.REDIS_PASSWORD")))
	gateway, err := kongtest.Start(t.Context(), kongtest.Options{Config: []byte(config), Plugin: plugin})
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Close()
	running := exec.Command(stub, "-provider", provider, "-api", api, "-jwks", gateway.URL()+"/m2m/jwks.json")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = running.Process.Signal(os.Interrupt)
		if err := running.Wait(); err != nil {
			t.Errorf("the stub: %v", err)
		}
	}()
	await.Nil(t, func() error {
		return exec.Command(stub, append(texts(at(services, "stub.healthcheck.test"))[2:], "-provider", provider)...).Run()
	})
	playDemo(t, gateway.URL())
	// It loads, too; without its provider there is nothing to ask.
	if err := gateway.Reload([]byte(read(t, "deploy/kubernetes/kong.yml"))); err != nil {
		t.Errorf("deploy/kubernetes/kong.yml: %v", err)
	}
}

// playDemo asks what docs/deploy.md says to ask.
func playDemo(t *testing.T, gateway string) {
	t.Helper()
	form := url.Values{}
	curl := regexp.MustCompile(`(?m)^curl -s http://127.0.0.1:8000(/oauth2/token) (.*)$`).FindStringSubmatch(read(t, "docs/deploy.md"))
	for _, field := range regexp.MustCompile(`-d (\S+)=(\S+)`).FindAllStringSubmatch(curl[2], -1) {
		form.Set(field[1], field[2])
	}
	resp, err := http.PostForm(gateway+curl[1], form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := stage.AccessToken(text)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d: %v: %s", resp.StatusCode, err, text)
	}
	claims, err := stage.Verify(t.Context(), gateway+"/m2m/jwks.json", stage.Issuer, token)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "organization", claims["org_code"].(string)+" "+claims["org_name"].(string), "org_8ed648340ea9 Acme Inc")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	orders, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer orders.Body.Close()
	expect(t, "the API's answer", orders.StatusCode, http.StatusOK)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDeployPage: what the page names is there, and it names every file.
func TestDeployPage(t *testing.T) {
	page := read(t, "docs/deploy.md")
	for _, m := range regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]+))?\)`).FindAllStringSubmatch(page, -1) {
		target := "docs/deploy.md"
		if m[1] != "" {
			target = filepath.Join("docs", m[1])
		}
		exists(t, target)
		if m[2] == "" {
			continue
		}
		if heading := "\n## " + strings.ReplaceAll(m[2], "-", " ") + "\n"; !strings.Contains(strings.ToLower(read(t, target)), heading) {
			t.Errorf("%s has no heading for #%s", target, m[2])
		}
	}
	for _, m := range regexp.MustCompile("(?m)(?:^|[\\s`(=])((?:deploy|docs|test|bin)/[\\w./*-]*[\\w*])").FindAllStringSubmatch(page, -1) {
		path := m[1]
		if strings.HasPrefix(path, "bin/") {
			if !slices.Contains(built(t), path) {
				t.Errorf("make build doesn't make %s", path)
			}
			continue
		}
		if found, err := filepath.Glob("../" + path); err != nil || len(found) == 0 {
			t.Errorf("there is no %s", path)
		}
	}
	err := filepath.WalkDir("../deploy", func(path string, entry os.DirEntry, err error) error {
		beside := strings.Contains(path, "/compose/") || strings.HasSuffix(path, ".dockerignore") || strings.HasPrefix(entry.Name(), "m2m-keys-rotate")
		if err == nil && !entry.IsDir() && !beside && !strings.Contains(page, strings.TrimPrefix(path, "../")) {
			t.Errorf("the page doesn't name %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, words := range [][]string{{"/etc/kong/m2m/redis.env", "deploy/systemd/kong.service.d/m2m.conf"}, {"/etc/kong/m2m/client-secret", "deploy/systemd/m2m-sync.service"},
		{"/etc/kong/m2m/writer-password", "deploy/systemd/m2m-sync.service"}, {keyFile, "deploy/systemd/m2m-keys-rotate.service"}, {"port 9543", ""}} {
		if !strings.Contains(page, words[0]) || words[1] != "" && !strings.Contains(read(t, words[1]), words[0]) {
			t.Errorf("%s isn't in the page or in %s", words[0], words[1])
		}
	}
}
