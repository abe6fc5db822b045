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
	"strings"
	"testing"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/redistest"
	"m2m-token-enricher/test/stage"
)

// TestDeployDemo plays deploy/compose.yaml with the stand-in: its Redis users,
// the commands of its services that run once, its stub and its kong.yml.
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
		runService(t, name, services[name], dir, edit)
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
		expect(t, "how the stub ended", running.Wait(), nil)
	}()
	await.Nil(t, func() error {
		return exec.Command(stub, append(texts(at(services, "stub.healthcheck.test"))[2:], "-provider", provider)...).Run()
	})
	playDemo(t, gateway.URL())
	// The other file loads, too. Its provider can't be reached, so nothing is asked.
	if err := gateway.Reload([]byte(read(t, "deploy/kubernetes/kong.yml"))); err != nil {
		t.Errorf("deploy/kubernetes/kong.yml: %v", err)
	}
}

// runService runs the command of a service with the programs in bin.
func runService(t *testing.T, name string, service any, bin string, edit *strings.Replacer) {
	t.Helper()
	entrypoint := texts(at(service, "entrypoint"))
	cmd := exec.Command(entrypoint[0], append(entrypoint[1:], edit.Replace(text(at(service, "command.0"))))...)
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	environment, _ := at(service, "environment").(map[string]any)
	for variable, value := range environment {
		cmd.Env = append(cmd.Env, variable+"="+text(value))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// playDemo sends the requests of docs/deploy.md.
func playDemo(t *testing.T, gateway string) {
	t.Helper()
	form := url.Values{}
	curl := match(t, "docs/deploy.md", `^curl -s http://127.0.0.1:8000/oauth2/token (.*)$`)
	for _, field := range regexp.MustCompile(`-d (\S+)=(\S+)`).FindAllStringSubmatch(curl, -1) {
		form.Set(field[1], field[2])
	}
	answer := fetch(t, http.MethodPost, gateway+"/oauth2/token", strings.NewReader(form.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	token, err := stage.AccessToken(answer)
	if err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	claims, err := stage.Verify(t.Context(), gateway+"/m2m/jwks.json", stage.Issuer, token)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "organization", text(claims["org_code"])+" "+text(claims["org_name"]), "org_8ed648340ea9 Acme Inc")
	fetch(t, http.MethodGet, gateway+"/orders", nil, http.Header{"Authorization": {"Bearer " + token}})
}

// fetch returns the body of an answer, whose status must be 200.
func fetch(t *testing.T, method, address string, body io.Reader, header http.Header) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, want 200: %v: %s", address, resp.StatusCode, err, answer)
	}
	return answer
}
