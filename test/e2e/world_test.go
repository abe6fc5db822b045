// Package e2e tests the plugin as Kong runs it: the real binary behind the
// stand-in gateway, or behind the Kong that KONG_BIN names, with a real Redis
// and the stub provider.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/redistest"
	"m2m-token-enricher/test/stage"
)

const (
	client = "299627bd8bfa493f8b17e6aec8ebfb86"
	secret = "s3cret-of-the-client"
	org    = "org_8ed648340ea9"
	prefix = "m2m:example.kinde.com:"
)

// binary is the plugin's executable, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "m2m-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Kong's user must be able to run it, also when the tests run as root.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "m2m-token-enricher")
	args := []string{"build", "-o", binary}
	if raced {
		args = append(args, "-race")
		// Otherwise the race detector waits for a second at the end of each
		// command.
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	build := exec.Command("go", append(args, "m2m-token-enricher/cmd/m2m-token-enricher")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the plugin: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// world is all that an exchange needs. Each test has its own.
type world struct {
	*testing.T
	redis    *redistest.Server
	provider *idptest.Provider
	gateway  kongtest.Gateway
	api      *httptest.Server
	host     string // that token requests name; "": the gateway's address
	keyFile  string
	flags    []string // of the plugin's process
	env      []string // of the plugin's process, too
	edit     func(config map[string]any)
	declare  func(declared map[string]any) // changes the whole configuration; nil: nothing
	paths    []any                         // of the plugin's route; nil: as in kong.yml
}

// newWorld starts a world whose client has a record, an organization and good
// answers everywhere. edit may change the plugin's configuration.
func newWorld(t *testing.T, edit func(config map[string]any)) *world {
	w := build(t, edit)
	w.start()
	return w
}

// build starts everything except the gateway.
func build(t *testing.T, edit func(config map[string]any)) *world {
	t.Helper()
	return buildOn(t, redistest.Start(t, redistest.WithUser(t, redistest.Reader)...), edit)
}

// buildOn is build with a Redis that has the plugin's user.
func buildOn(t *testing.T, redis *redistest.Server, edit func(config map[string]any)) *world {
	t.Helper()
	w := &world{T: t, redis: redis, edit: edit}
	w.record("app:"+client, "org_code", org, "region", "eu")
	w.record("org:"+org, "code", org, "name", "Acme Inc", "is_suspended", "false")

	var err error
	if w.provider, err = idptest.Start(stage.Issuer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.provider.Close)
	w.provider.Add(client, secret)
	w.api = httptest.NewServer(stage.API(stage.Issuer, w.jwksURL))
	t.Cleanup(w.api.Close)

	w.keyFile = filepath.Join(openDir(t), "keys.json")
	w.generateKey("rsa")
	return w
}

// openDir returns a directory of Kong's user; which can't open t.TempDir.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m2m-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := errors.Join(os.Chmod(dir, 0o755), kongtest.GiveToWorkers(dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// generateKey writes a new key file with the product's own command.
func (w *world) generateKey(kind string) {
	w.Helper()
	next := w.keyFile + ".new"
	if out, err := exec.Command(binary, "keys", "generate", "--type", kind, next).CombinedOutput(); err != nil {
		w.Fatalf("generate a key: %v: %s", err, out)
	}
	if err := errors.Join(kongtest.GiveToWorkers(next), os.Rename(next, w.keyFile)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) start() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	w.gateway, err = kongtest.Start(ctx, kongtest.Options{Config: w.config(), Plugin: binary, Args: w.flags, Env: w.env})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := w.gateway.Close(); err != nil {
			w.Errorf("close the gateway: %v", err)
		}
		if w.Failed() {
			w.Logf("the gateway's log:\n%s", w.gateway.Log())
		}
		if strings.Contains(w.gateway.Log(), secret) {
			w.Error("the client's secret is in the log")
		}
	})
}

// config is the repository's kong.yml with this world's addresses.
func (w *world) config() []byte {
	w.Helper()
	text, err := os.ReadFile("../../kong.yml")
	if err != nil {
		w.Fatal(err)
	}
	text, err = stage.Configure(text, stage.Addresses{
		Provider: w.provider.URL(), JWKSURI: w.provider.JWKSURI(), Redis: w.redis.Addr(), KeyFile: w.keyFile, API: w.api.URL,
	})
	if err != nil {
		w.Fatal(err)
	}
	var declared map[string]any
	if err := yaml.Unmarshal(text, &declared); err != nil {
		w.Fatal(err)
	}
	service := declared["services"].([]any)[0].(map[string]any)
	plugin := service["plugins"].([]any)[0].(map[string]any)["config"].(map[string]any)
	redis := plugin["redis"].(map[string]any)
	redis["username"], redis["password"] = redistest.Reader, redistest.ReaderPassword // the least rights
	if w.edit != nil {
		w.edit(plugin)
	}
	if w.paths != nil {
		service["routes"].([]any)[0].(map[string]any)["paths"] = w.paths
	}
	if w.declare != nil {
		w.declare(declared)
	}
	if text, err = yaml.Marshal(declared); err != nil {
		w.Fatal(err)
	}
	return text
}

func (w *world) jwksURL() string { return w.gateway.URL() + "/m2m/jwks.json" }

// record writes a record as an operator does.
func (w *world) record(key string, properties ...string) {
	w.Helper()
	if err := w.redis.Client().HSet(context.Background(), prefix+key, properties).Err(); err != nil {
		w.Fatal(err)
	}
}

// answer is what the client received.
type answer struct {
	*http.Response
	body []byte
}

// send sends a request with a deadline and reads the answer.
func (w *world) send(c *http.Client, req *http.Request) answer {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	resp, err := c.Do(req.WithContext(ctx))
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{resp, body}
}

// form is a good token request, changed by pairs of name and value.
func form(changes ...string) url.Values {
	f := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret}, "audience": {"https://api.example.com"},
	}
	for i := 0; i < len(changes); i += 2 {
		f.Set(changes[i], changes[i+1])
	}
	return f
}

func (w *world) tokenRequest(f url.Values) *http.Request {
	w.Helper()
	req, err := http.NewRequest(http.MethodPost, w.gateway.URL()+"/oauth2/token", strings.NewReader(f.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Host = w.host
	return req
}

func (w *world) ask(f url.Values) answer {
	w.Helper()
	return w.send(http.DefaultClient, w.tokenRequest(f))
}

// token returns the access token of an answer, "" if it has none.
func (a answer) token() string {
	token, _ := stage.AccessToken(a.body)
	return token
}

// header returns the JOSE header of an answer's token.
func (a answer) header() map[string]any {
	var header map[string]any
	if text, _, err := stage.Unverified(a.token()); err == nil {
		_ = json.Unmarshal(text, &header) // no JSON, no header
	}
	return header
}

// enriched fails the test unless a carries an enriched token of client, and
// returns its claims.
func (w *world) enriched(a answer) map[string]any {
	w.Helper()
	claims := w.issued(a)
	if claims["org_code"] != org || claims["azp"] != client {
		w.Fatalf("got the claims %v, want %s and %s", claims, org, client)
	}
	return claims
}

// issued fails the test unless a carries a token that the gateway signed, and
// returns its claims.
func (w *world) issued(a answer) map[string]any {
	w.Helper()
	if a.StatusCode != http.StatusOK && a.StatusCode != http.StatusCreated {
		w.Fatalf("got %d %s, want a token", a.StatusCode, a.body)
	}
	claims, err := stage.Verify(context.Background(), w.jwksURL(), stage.Issuer, a.token())
	if err != nil {
		w.Fatalf("the token doesn't verify with the gateway's keys: %v", err)
	}
	w.unstored(a)
	return claims
}

// unstored fails the test unless caches must not store a.
func (w *world) unstored(a answer) {
	w.Helper()
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		w.Errorf("caches may store it: %v", a.Header)
	}
}

// refused fails the test unless a is the OAuth error of outcome.
func (w *world) refused(a answer, status int, code, outcome string) {
	w.Helper()
	var body map[string]string
	if err := json.Unmarshal(a.body, &body); err != nil {
		w.Fatalf("got %d %s, want the JSON of %s", a.StatusCode, a.body, outcome)
	}
	if a.StatusCode != status || body["error"] != code || !strings.HasPrefix(body["error_description"], outcome+" ") {
		w.Fatalf("got %d %s, want %d, %s and %s", a.StatusCode, a.body, status, code, outcome)
	}
	id := a.Header.Get("X-Kong-Request-Id")
	if id == "" || !strings.Contains(body["error_description"], id) {
		w.Errorf("%q doesn't name request %q", body["error_description"], id)
	}
	if got := a.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		w.Errorf("got content type %q, want JSON", got)
	}
	if (a.Header.Get("Retry-After") != "") != (status == http.StatusServiceUnavailable) {
		w.Errorf("got Retry-After %q with status %d", a.Header.Get("Retry-After"), status)
	}
	w.unstored(a)
	if log := w.gateway.Log(); !strings.Contains(log, "outcome="+outcome) || !strings.Contains(log, id) {
		w.Errorf("the log doesn't report %s of request %s:\n%s", outcome, id, log)
	}
}

var errNotYet = errors.New("not yet")

// eventually calls check until it returns nil, and fails the test if it never
// does.
func (w *world) eventually(check func() error) {
	w.Helper()
	await.Nil(w, check)
}
