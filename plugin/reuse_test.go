package plugin

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"m2m-token-enricher/plugin/audit"
	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/test/await"
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

// TestRepeat: a request that repeats another one is answered in access, with the same
// token, in one round trip of questions. Other plugins and the observers hear of it.
func TestRepeat(t *testing.T) {
	e := newEdge(t, "")
	file := filepath.Join(t.TempDir(), "audit.log")
	e.is.observers.audit = audit.Open(file, 1<<20)
	i := e.start()
	first := e.enriched(i, e.replies(newTokenRequest()))
	asked := e.provider.Hits("/oauth2/token")
	k := e.access(i, e.replies(newTokenRequest()))
	if k.Exit == nil || k.Exit.Status != 200 || accessToken(t, string(k.Exit.Body)) != accessToken(t, first) {
		t.Fatalf("exit %s, log %q, want the first answer's token", exit(k), k.Log)
	}
	headers := k.Exit.Headers.GetFields()
	for name, want := range map[string]string{"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store", "Pragma": "no-cache"} {
		if got := headers[name].GetListValue().GetValues(); len(got) != 1 || got[0].GetStringValue() != want {
			t.Errorf("the header %s is %v, want %q", name, got, want)
		}
	}
	if n := len(k.Calls); k.Writes != 2 || k.Calls[n-2] != "kong.ctx.shared.set" || k.Calls[n-1] != "kong.response.exit" {
		t.Errorf("%v in %d writes, want questions in one, then the outcome and the exit in another", k.Calls, k.Writes)
	}
	if got := e.provider.Hits("/oauth2/token"); got != asked {
		t.Errorf("the provider was asked %d times, want %d", got, asked)
	}
	if s := i.gateway.Reuse.Stats(); s.Made != 1 || s.Saved != 1 || s.Entries != 1 || s.Pending != 0 {
		t.Errorf("got %+v, want one call made, one saved and one answer held", s)
	}
	if state := stateOf(i.name, i.gateway); state.Reuse == nil || state.Reuse.Saved != 1 {
		t.Errorf("metrics show %+v, want one call saved", state.Reuse)
	}
	if err := e.is.observers.audit.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); err != nil || len(lines) != 2 ||
		strings.Contains(lines[0], `"reused":true`) || !strings.Contains(lines[1], `"reused":true`) {
		t.Errorf("the audit log has %q, %v, want two lines, the second reused", lines, err)
	}
}

// TestNoRepeat: a request that differs in anything that could change the answer goes to
// the provider.
func TestNoRepeat(t *testing.T) {
	e := newEdge(t, `,"vary_headers":["X-Tenant"]`)
	i := e.start()
	e.enriched(i, e.replies(newTokenRequest()))
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("app_1:"+password))
	}
	for name, change := range map[string]func(*tokenRequest){
		"another secret":       func(r *tokenRequest) { r.body = strings.Replace(r.body, "s3cret", "s3cres", 1) },
		"another audience":     func(r *tokenRequest) { r.body += "&audience=a" },
		"another order":        func(r *tokenRequest) { r.body = "client_id=app_1&grant_type=client_credentials&client_secret=s3cret" },
		"another spelling":     func(r *tokenRequest) { r.body = strings.Replace(r.body, "app_1", "app%5f1", 1) },
		"Basic":                func(r *tokenRequest) { r.variables["http_authorization"] = basic("s3cret") },
		"another path":         func(r *tokenRequest) { r.line = "POST /oauth2//token HTTP/1.1" },
		"a query":              func(r *tokenRequest) { r.line = "POST /oauth2/token?a=b HTTP/1.1" },
		"OPTIONS":              func(r *tokenRequest) { r.line = "OPTIONS /oauth2/token HTTP/1.1" },
		"another host":         func(r *tokenRequest) { r.variables["http_host"] = "other" },
		"another media type":   func(r *tokenRequest) { r.variables["http_content_type"] += "; charset=utf-8" },
		"an encoding":          func(r *tokenRequest) { r.variables["http_content_encoding"] = "identity" },
		"a cookie":             func(r *tokenRequest) { r.variables["http_cookie"] = "a=b" },
		"a tenant":             func(r *tokenRequest) { r.variables["http_x_tenant"] = "a" },
		"DPoP":                 func(r *tokenRequest) { r.variables["http_dpop"] = "proof" },
		"client certificate":   func(r *tokenRequest) { r.variables["http_x_forwarded_client_cert"] = "cert" },
		"a body in a file":     func(r *tokenRequest) { r.file = true },
		"no id of Kong's":      func(r *tokenRequest) { r.variables["kong_request_id"] = "" },
		"a body that is large": func(r *tokenRequest) { r.body += "&a=" + strings.Repeat("a", 8192) },
	} {
		request := newTokenRequest()
		change(request)
		if k := e.access(i, e.replies(request)); k.Exit != nil {
			t.Errorf("%s: access exits with %d, want that the provider is asked", name, k.Exit.Status)
		}
	}
	if k := e.access(i, e.replies(newTokenRequest())); k.Exit == nil || k.Exit.Status != 200 {
		t.Errorf("the same request: exit %s, want the answer", exit(k))
	}
}

// TestRefusalsComeFirst: what access refuses gets no answer, though one is held for the
// same bytes.
func TestRefusalsComeFirst(t *testing.T) {
	e := newEdge(t, "")
	i := e.start()
	e.enriched(i, e.replies(newTokenRequest()))
	request := newTokenRequest()
	request.variables["http_upgrade"] = "websocket"
	if k := e.access(i, e.replies(request)); k.Exit == nil || k.Exit.Status != 400 {
		t.Errorf("exit %s, want 400", exit(k))
	}
}

// TestNotHeld: an answer that is for one client alone, or for another request than
// access saw, isn't given again.
func TestNotHeld(t *testing.T) {
	for name, change := range map[string]func(pdktest.Replies){
		"a cookie": func(r pdktest.Replies) {
			r["kong.response.get_headers"] = pdktest.Headers(t, map[string]any{"set-cookie": "session=a"})
		},
		"credentials that another plugin adds": func(r pdktest.Replies) { r[pdktest.Variable("http_authorization")] = pdktest.Text("Basic YTpi") },
		"a body that another plugin changes": func(r pdktest.Replies) {
			r["kong.request.get_raw_body"] = pdktest.Body(newTokenRequest().body + "&scope=a")
		},
	} {
		e := newEdge(t, "")
		i := e.start()
		replies := e.replies(newTokenRequest())
		e.access(i, replies)
		change(replies)
		k := e.respond(i, replies)
		if k.Exit == nil || k.Exit.Status != 200 || k.Exit.Headers.GetFields()["set-cookie"] != nil {
			t.Errorf("%s: exit %s, log %q, want the answer and its cookie", name, exit(k), k.Log)
		}
		if k := e.access(i, e.replies(newTokenRequest())); k.Exit != nil {
			t.Errorf("%s: access exits with %d, want that the provider is asked", name, k.Exit.Status)
		}
	}
}

// TestForOneRequest: a request with what is for one request, or with a client
// certificate, gets no answer again, even for the same bytes.
func TestForOneRequest(t *testing.T) {
	for name, change := range map[string]func(*tokenRequest){
		"DPoP":                     func(r *tokenRequest) { r.variables["http_dpop"] = "proof" },
		"client certificate":       func(r *tokenRequest) { r.variables["http_client_cert"] = "cert" },
		"assertion":                func(r *tokenRequest) { r.body += "&client_assertion=a" },
		"assertion in the query":   func(r *tokenRequest) { r.line = "POST /oauth2/token?client_assertion=a HTTP/1.1" },
		"its type in the query":    func(r *tokenRequest) { r.line = "POST /oauth2/token?a=b&client_assertion_type=t HTTP/1.1" },
		"one in the query, quoted": func(r *tokenRequest) { r.line = "POST /oauth2/token?%63lient%5Fassertion=a HTTP/1.1" },
	} {
		e := newEdge(t, "")
		i := e.start()
		request := newTokenRequest()
		change(request)
		e.enriched(i, e.replies(request))
		if k := e.access(i, e.replies(request)); k.Exit != nil {
			t.Errorf("%s: access exits with %d, want that the provider is asked", name, k.Exit.Status)
		}
	}
}

// TestReuseOfARoute: an answer is given again only on its route. Without a route or a
// service, none is, and the log says so.
func TestReuseOfARoute(t *testing.T) {
	e := newEdge(t, "")
	first := e.start()
	if again := e.start(`"__seq__":1`, `"__seq__":2`); again != first {
		t.Error("the route's instance is started twice")
	}
	second, service := e.start(`"r1"`, `"r2"`), e.start(`"route_id":"r1"`, `"service_id":"r1"`)
	e.enriched(first, e.replies(newTokenRequest()))
	for name, i := range map[string]*instance{"another route": second, "a service": service} {
		if k := e.access(i, e.replies(newTokenRequest())); k.Exit != nil || i == first {
			t.Errorf("%s: exit %s, want that the provider is asked", name, exit(k))
		}
	}
	global := e.start(`"route_id":"r1",`, "")
	k := e.access(global, e.replies(newTokenRequest()))
	if global.gateway.Reuse != nil || len(k.Calls) != 6+strings.Count(strings.Join(k.Calls, " "), "kong.log") {
		t.Errorf("without a route: %v, want no more than the usual questions", k.Calls)
	}
	if log := strings.Join(k.Log, "\n"); !strings.Contains(log, "no answer is reused") {
		t.Errorf("log %q, want why no answer is reused", log)
	}
}

// TestReuseOfAService: the routes of one service share no answers. If Kong doesn't say
// which route a request takes, its answer isn't held.
func TestReuseOfAService(t *testing.T) {
	e := newEdge(t, "")
	i := e.start(`"route_id":"r1"`, `"service_id":"s1"`)
	taking := func(route string) pdktest.Replies {
		replies := e.replies(newTokenRequest())
		if route != "" {
			replies["kong.router.get_route"] = pdktest.Route(route)
		}
		return replies
	}
	e.enriched(i, taking("r1"))
	e.enriched(i, taking(""))
	for route, reused := range map[string]bool{"r1": true, "r2": false, "": false} {
		if k := e.access(i, taking(route)); (k.Exit != nil) != reused {
			t.Errorf("route %q: exit %s, want an answer: %t", route, exit(k), reused)
		}
	}
}

// TestReuseAsksNothingInVain: where no answer can ever be held, Kong is asked no more
// than without reuse.
func TestReuseAsksNothingInVain(t *testing.T) {
	e := newEdge(t, "")
	for name, setting := range map[string]string{"off": "", "observe": `"mode":"observe",`, "nobody enforced": `"enforce_share":0,`} {
		i := e.start(`"route_id"`, setting+`"route_id"`, `"enabled":true`, fmt.Sprintf(`"enabled":%t`, name != "off"))
		k := e.access(i, e.replies(newTokenRequest()))
		calls := slices.DeleteFunc(k.Calls, func(method string) bool { return strings.HasPrefix(method, "kong.log") })
		if len(calls) != 6 || i.gateway.Reuse != nil {
			t.Errorf("%s: %v, want six variables", name, calls)
		}
	}
}

// TestReuseAfterFailure: whatever happens to a request, those that wait for its answer
// hear of it.
func TestReuseAfterFailure(t *testing.T) {
	for name, spoil := range map[string]func(*instance, pdktest.Replies){
		"panic": func(i *instance, _ pdktest.Replies) { // without an enricher
			g := i.gateway
			i.gateway = &gateway.Gateway{Config: i.cfg, Provider: g.Provider, Keys: g.Keys, Records: g.Records, Reuse: g.Reuse}
		},
		"unreadable reply": func(_ *instance, r pdktest.Replies) { r["kong.response.get_headers"] = pdktest.Number(1) },
	} {
		e := newEdge(t, "")
		i := e.start(`"route_id"`, `"timeout":20000,"route_id"`)
		leader := e.replies(newTokenRequest())
		e.access(i, leader)
		waiter := make(chan *pdktest.Kong)
		go func() { waiter <- e.access(i, e.replies(newTokenRequest())) }()
		await.Nil(t, func() error { return waiting(i, 1) })
		spoil(i, leader)
		checkInternalError(t, e.respond(i, leader))
		if k := <-waiter; k.Exit != nil {
			t.Errorf("%s: the one that waits exits with %s, want that the provider is asked", name, exit(k))
		}
		if s := i.gateway.Reuse.Stats(); s.Made != 1 || s.Entries != 0 {
			t.Errorf("%s: got %+v, want one call made and nothing held", name, s)
		}
	}
}

// TestReuseAfterReload: another configuration has no answers of the one before, also if
// they differ in a secret alone.
func TestReuseAfterReload(t *testing.T) {
	e := newEdge(t, `,"secret":"0123456789abcdef"`)
	before := e.start()
	e.enriched(before, e.replies(newTokenRequest()))
	for name, replace := range map[string][]string{
		"another setting": {`"route_id"`, `"leeway":1,"route_id"`},
		"another secret":  {"0123456789abcdef", "0123456789abcdeF"},
	} {
		after := e.start(append(replace, `"__seq__":1`, `"__seq__":2`)...)
		if k := e.access(after, e.replies(newTokenRequest())); k.Exit != nil || after == before {
			t.Errorf("%s: exit %s, want that the provider is asked", name, exit(k))
		}
	}
	same := e.start(`"__seq__":1`, `"__seq__":3`)
	if k := e.access(same, e.replies(newTokenRequest())); k.Exit == nil {
		t.Error("the same configuration: exit none, want the answer")
	}
}

// waiting returns an error unless want requests wait for another's answer.
func waiting(i *instance, want int) error {
	if got := i.gateway.Reuse.Stats().Waiting; got != want {
		return fmt.Errorf("%d requests wait, want %d", got, want)
	}
	return nil
}

// TestCoalesced: a request that comes while the same one is at the provider gets its
// answer. When the server ends, it goes to the provider.
func TestCoalesced(t *testing.T) {
	for name, end := range map[string]bool{"answered": false, "ended": true} {
		e := newEdge(t, "")
		i := e.start(`"route_id"`, `"timeout":20000,"route_id"`)
		leader := e.replies(newTokenRequest())
		e.access(i, leader)
		waiter := make(chan *pdktest.Kong)
		go func() { waiter <- e.access(i, e.replies(newTokenRequest())) }()
		await.Nil(t, func() error { return waiting(i, 1) })
		if end {
			e.is.stopWaiting()
		} else {
			e.respond(i, leader)
		}
		if k := <-waiter; (k.Exit == nil) != end {
			t.Errorf("%s: exit %s, want the answer: %t", name, exit(k), !end)
		}
	}
}

// TestInsteadWithUnclearHeaders: an answer of the provider whose headers could make a
// cache keep a token isn't replaced by one with a token.
func TestInsteadWithUnclearHeaders(t *testing.T) {
	many := map[string]any{}
	for n := range 1000 {
		many[fmt.Sprint("x-", n)] = "a"
	}
	for name, headers := range map[string]map[string]any{
		"a name that can't be deleted": {"cdn_cache-control": "max-age=600"}, "too many": many,
	} {
		e := newEdge(t, `,"coalesce":false,"if_provider_fails":true`)
		i := e.start()
		failing := e.replies(newTokenRequest())
		e.access(i, failing)
		e.enriched(i, e.replies(newTokenRequest()))
		e.provider.Misbehave(idptest.Fault{Answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }})
		failing["kong.response.get_headers"] = pdktest.Headers(t, headers)
		if k := e.respond(i, failing); k.Exit != nil {
			t.Errorf("%s: exit %s, want the provider's answer", name, exit(k))
		}
	}
}

// TestInstead: where the configuration says so, an answer that lives replaces the
// provider's failure. Its header Retry-After is asked for only then.
func TestInstead(t *testing.T) {
	for name, want := range map[string]bool{`,"if_provider_fails":true`: true, "": false} {
		e := newEdge(t, `,"coalesce":false`+name)
		i := e.start()
		failing := e.replies(newTokenRequest())
		e.access(i, failing)
		first := e.enriched(i, e.replies(newTokenRequest()))
		e.provider.Misbehave(idptest.Fault{Answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }})
		failing[pdktest.Variable("http_authorization")] = pdktest.Text("")
		failing["kong.service.response.get_header"] = pdktest.Text("10")
		k := e.respond(i, failing)
		if !want {
			if k.Exit != nil {
				t.Errorf("exit %s, want the provider's answer", exit(k))
			}
			continue
		}
		if k.Exit == nil || k.Exit.Status != 200 || accessToken(t, string(k.Exit.Body)) != accessToken(t, first) {
			t.Fatalf("exit %s, log %q, want the token that is held", exit(k), k.Log)
		}
		if deleted, ok := k.Exit.Headers.GetFields()["Retry-After"]; !ok || len(deleted.GetListValue().GetValues()) != 0 {
			t.Error("the provider's Retry-After stays, want it deleted")
		}
		if log := strings.Join(k.Log, "\n"); !strings.Contains(log, "outcome=reused_in_outage") || strings.Contains(log, "s3cret") {
			t.Errorf("log %q, want the outcome without a secret", log)
		}
		if k := e.access(i, e.replies(newTokenRequest())); k.Exit == nil {
			t.Error("the answer isn't held any more")
		}
	}
}
