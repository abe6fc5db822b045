package plugin

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/pdktest"
)

// edge is a plugin with a provider behind it and records. Its requests go through both
// phases, as Kong runs them.
type edge struct {
	*testing.T
	is       *instances
	provider *idptest.Provider
	config   string
	requests atomic.Int64
}

// newEdge returns an edge with reuse, and more settings of it, such as `,"coalesce":false`.
func newEdge(t *testing.T, settings string) *edge {
	t.Helper()
	provider, err := idptest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.Close)
	provider.Add("app_1", "s3cret")
	records := miniredis.RunT(t)
	records.HSet("m2m:app:app_1", "org_code", "org_1")
	keys := filepath.Join(t.TempDir(), "keys.json")
	writeKey(t, keys)
	config := fmt.Sprintf(`{"issuer":%q,"management_audiences":[],"prefix":"m2m:","jwks_uri":%q,"redis":{"host":"127.0.0.1","port":%s},"signing":{"jwks_file":%q},
		"claims":[{"name":"org_code","from":"application.org_code"}],"reuse":{"enabled":true%s},"route_id":"r1","__seq__":1}`,
		provider.Issuer(), provider.JWKSURI(), records.Port(), keys, settings)
	return &edge{T: t, is: newTestInstances(t), provider: provider, config: config}
}

// start starts the instance of the configuration with old replaced by new.
func (e *edge) start(replace ...string) *instance {
	e.Helper()
	i := e.is.start([]byte(strings.NewReplacer(replace...).Replace(e.config)))
	if i.invalid != nil {
		e.Fatal(i.invalid)
	}
	return ready(e.T, i)
}

// tokenRequest is a request as Kong gives it.
type tokenRequest struct {
	line, body string
	variables  map[string]string
	file       bool // nginx wrote the body to a file
}

func newTokenRequest() *tokenRequest {
	return &tokenRequest{
		line: "POST /oauth2/token HTTP/1.1", body: "grant_type=client_credentials&client_id=app_1&client_secret=s3cret",
		variables: map[string]string{"http_host": "gateway", "http_content_type": enrich.FormMediaType},
	}
}

// replies are Kong's about the request, which has an id of its own unless it has one.
func (e *edge) replies(r *tokenRequest) pdktest.Replies {
	replies := pdktest.Replies{
		pdktest.Variable("request"):         pdktest.Text(r.line),
		pdktest.Variable("kong_request_id"): pdktest.Text(fmt.Sprint("id", e.requests.Add(1))),
		"kong.request.get_raw_body":         pdktest.Body(r.body),
	}
	for name, value := range r.variables {
		replies[pdktest.Variable(name)] = pdktest.Text(value)
	}
	if r.file {
		path := filepath.Join(e.TempDir(), "body")
		if err := os.WriteFile(path, []byte(r.body), 0o600); err != nil {
			e.Fatal(err)
		}
		replies["kong.request.get_raw_body"] = pdktest.BodyFile(path)
	}
	return replies
}

// access runs the access phase, and respond the response phase of the same request.
func (e *edge) access(i *instance, replies pdktest.Replies) *pdktest.Kong {
	e.Helper()
	k := &pdktest.Kong{Replies: replies}
	handle(e.T, k, "access", i.handleEvent)
	return k
}

func (e *edge) respond(i *instance, replies pdktest.Replies) *pdktest.Kong {
	e.Helper()
	status, body := e.token()
	replies = maps.Clone(replies)
	replies["kong.service.response.get_status"] = pdktest.Number(int32(status))
	replies["kong.service.response.get_raw_body"] = pdktest.Text(body)
	k := &pdktest.Kong{Replies: replies}
	handle(e.T, k, "response", i.handleEvent)
	return k
}

// token is the provider's answer.
func (e *edge) token() (status int, body string) {
	e.Helper()
	r, err := http.Post(e.provider.URL()+"/oauth2/token", enrich.FormMediaType, strings.NewReader(newTokenRequest().body))
	if err != nil {
		e.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		e.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// enriched runs both phases of a request that the provider answers.
func (e *edge) enriched(i *instance, replies pdktest.Replies) (body string) {
	e.Helper()
	if k := e.access(i, replies); k.Exit != nil {
		e.Fatalf("access exits with %d, want that the provider is asked", k.Exit.Status)
	}
	k := e.respond(i, replies)
	if k.Exit == nil || k.Exit.Status != 200 {
		e.Fatalf("exit %s, log %q, want an enriched token", exit(k), k.Log)
	}
	return string(k.Exit.Body)
}

// exit describes how k ended, without a token.
func exit(k *pdktest.Kong) string {
	if k.Exit == nil {
		return "none"
	}
	return fmt.Sprint(k.Exit.Status)
}

func accessToken(t *testing.T, body string) string {
	t.Helper()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Token == "" {
		t.Fatalf("got %d bytes without a token: %v", len(body), err)
	}
	return answer.Token
}

// waiting returns an error unless want requests wait for another's answer.
func waiting(i *instance, want int) error {
	if got := i.gateway.Reuse.Stats().Waiting; got != want {
		return fmt.Errorf("%d requests wait, want %d", got, want)
	}
	return nil
}
