package plugin

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/audit"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/pdktest"
)

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
