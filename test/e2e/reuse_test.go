package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/test/idptest"
)

// TestReuse: the same request gets the same token without a call of the provider,
// with the time that it still lives.
func TestReuse(t *testing.T) {
	t.Parallel() // it mostly waits
	w := newReusing(t)
	first := w.ask(form())
	claims := w.enriched(first)
	w.expectCalls(0, "a repeat", func() {
		w.eventually(func() error {
			a := w.ask(form())
			if got := w.enriched(a)["jti"]; got != claims["jti"] {
				t.Fatalf("got the token %v, want %v again", got, claims["jti"])
			}
			for name, want := range map[string]string{"Content-Type": "application/json; charset=utf-8", "Etag": "", "Set-Cookie": ""} {
				if got := a.Header.Get(name); got != want {
					t.Fatalf("%s: got %q, want %q", name, got, want)
				}
			}
			left, lives := time.Until(time.Unix(int64(claims["exp"].(float64)), 0)).Seconds(), float64(a.lifetime())
			if lives > left+1 || lives < left-2 {
				t.Fatalf("got expires_in %v for a token that lives for %v", lives, left)
			}
			if a.lifetime() >= first.lifetime() {
				return errNotYet
			}
			return nil
		})
	})
}

// TestReuseExactRequests: a request that differs from the first in one byte that the
// provider may look at goes to the provider. It changes nothing for the first.
func TestReuseExactRequests(t *testing.T) {
	w := newReusing(t, "vary_headers", []any{"x-api-key"})
	base := form().Encode()
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	basic := func(scheme string) func(*http.Request) {
		return func(r *http.Request) {
			r.SetBasicAuth(client, secret)
			r.Header.Set("Authorization", scheme+strings.TrimPrefix(r.Header.Get("Authorization"), "Basic"))
		}
	}
	parameters := strings.Split(base, "&")
	slices.Reverse(parameters)
	const bare = "audience=https%3A%2F%2Fapi.example.com&grant_type=client_credentials"
	first := w.send(http.DefaultClient, w.request(base, nil))
	w.enriched(first)
	for _, tt := range []struct {
		name, body string
		edit       func(*http.Request)
		status     int // 0: 200
	}{
		{"another secret", form("client_secret", secret+"2").Encode(), nil, 401},
		{"the start of the secret", form("client_secret", secret[:8]).Encode(), nil, 401},
		{"one byte changed", strings.Replace(base, ".com", ".con", 1), nil, 0},
		{"one parameter more", base + "&scope=", nil, 0},
		{"another case of an escape", strings.Replace(base, "%3A", "%3a", 1), nil, 0},
		{"a parameter", base + "&resource=a", nil, 0},
		{"another case of its value", base + "&resource=A", nil, 0},
		{"another case of its name", base + "&Resource=a", nil, 0},
		{"another order", strings.Join(parameters, "&"), nil, 0},
		{"another audience", form("audience", "https://b.example.com").Encode(), nil, 0},
		{"a scope", form("scope", "read").Encode(), nil, 0},
		{"another scope", form("scope", "write").Encode(), nil, 0},
		{"Basic instead of the body", bare, basic("Basic"), 0},
		{"another case of Basic", bare, basic("basic"), 0},
		{"another host", base, func(r *http.Request) { r.Host = "other.example.com" }, 0},
		{"a query", base, func(r *http.Request) { r.URL.RawQuery = "a=1" }, 0},
		{"another query", base, func(r *http.Request) { r.URL.RawQuery = "a=2" }, 0},
		{"another content type", base, header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"), 0},
		{"a cookie", base, header("Cookie", "a=b"), 0},
		{"a header of vary_headers", base, header("X-Api-Key", "1"), 0},
		{"another value of it", base, header("X-Api-Key", "2"), 0},
		{"JSON", fmt.Sprintf(`{"grant_type":"client_credentials","client_id":%q,"client_secret":%q,"audience":"https://api.example.com"}`, client, secret),
			header("Content-Type", "application/json"), 0},
	} {
		w.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			var a answer
			w.expectCalls(1, "the request", func() { a = w.send(http.DefaultClient, w.request(tt.body, tt.edit)) })
			if tt.status != 0 && a.StatusCode != tt.status {
				t.Errorf("got status %d, want %d", a.StatusCode, tt.status)
			}
			if tt.status == 0 {
				w.enriched(a)
				w.repeats("the same again", a, w.request(tt.body, tt.edit))
			}
			w.repeats("the first request", first, w.request(base, nil))
		})
	}
	w.repeats("another User-Agent", first, w.request(base, header("User-Agent", "another")))
}

// TestReuseOtherRoutes: routes of Kong that lead to different upstreams, or have
// other plugins, share no answers, even if only a header tells them apart and their
// plugins have the same configuration.
func TestReuseOtherRoutes(t *testing.T) {
	w := build(t, reusing())
	target, err := url.Parse(w.provider.URL())
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(httputil.NewSingleHostReverseProxy(target))
	t.Cleanup(upstream.Close)
	w.declare = func(declared map[string]any) {
		services := declared["services"].([]any)
		first := services[0].(map[string]any)
		route := func(name string) map[string]any {
			return map[string]any{"name": name, "paths": []any{"~/oauth2/token$"}, "strip_path": false, "headers": map[string]any{"x-route": []any{name}}}
		}
		first["routes"] = append(first["routes"].([]any), route("same-service"))
		declared["services"] = append(services, map[string]any{
			"name": "other", "url": upstream.URL, "routes": []any{route("other-service")}, "plugins": first["plugins"],
		})
	}
	w.start()
	var before []string
	for _, name := range []string{"", "same-service", "other-service"} {
		request := func() *http.Request {
			return w.request(form().Encode(), func(r *http.Request) { r.Header.Set("X-Route", name) })
		}
		w.reuses(func(r *http.Request) { r.Header.Set("X-Route", name) })
		var a answer
		w.expectCalls(1, "route "+name, func() { a = w.send(http.DefaultClient, request()) })
		w.enriched(a)
		if slices.Contains(before, a.token()) {
			t.Errorf("route %q gives a token of another route", name)
		}
		before = append(before, a.token())
		w.repeats("route "+name, a, request())
	}
}

// TestReuseNever: what isn't an answer for a secret that may be given again goes to
// the provider each time.
func TestReuseNever(t *testing.T) {
	w := newReusing(t)
	claims := func(name string, value any) idptest.Fault {
		return idptest.Fault{Claims: func(c map[string]any) { c[name] = value }}
	}
	with := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	w.provider.Add("public", "")
	w.record("app:public", "org_code", org)
	for n, tt := range []struct {
		name   string
		fault  idptest.Fault
		form   url.Values
		edit   func(*http.Request)
		status int
	}{
		{"a management token", idptest.Fault{}, form("audience", w.provider.ManagementAudience()), nil, 200},
		{"another grant", idptest.Fault{}, form("grant_type", "password"), nil, 200},
		{"a refused secret", idptest.Fault{}, form("client_secret", "wrong"), nil, 401},
		{"no secret", idptest.Fault{}, form("client_id", "public", "client_secret", ""), nil, 200},
		{"a large body", idptest.Fault{}, form("note", strings.Repeat("x", 8192)), nil, 200},
		{"a client assertion", idptest.Fault{}, form("client_assertion", "a.b.c"), nil, 200},
		{"DPoP", idptest.Fault{}, form(), with("DPoP", "a.b.c"), 200},
		{"a client certificate", idptest.Fault{}, form(), with("Client-Cert", ":AA==:"), 200},
		{"a client certificate of Envoy", idptest.Fault{}, form(), with("X-Forwarded-Client-Cert", "Hash=1"), 200},
		{"a sender-bound token", claims("cnf", map[string]any{"jkt": "x"}), form(), nil, 200},
		{"another token type", idptest.Fault{Body: func(b map[string]any) { b["token_type"] = "DPoP" }}, form(), nil, 200},
		{"a token that soon expires", claims("exp", time.Now().Unix()+50), form(), nil, 200},
		{"Set-Cookie", idptest.Fault{Answer: w.issue(200, "Set-Cookie", "a=b")}, form(), nil, 200},
		{"status 201", idptest.Fault{Answer: w.issue(201)}, form(), nil, 201},
		{"an error", idptest.Fault{Answer: func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(400) }}, form(), nil, 400},
	} {
		w.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.provider.Misbehave(tt.fault)
			tt.form.Set("case", fmt.Sprint(n)) // a request of its own
			w.expectCalls(2, "two requests", func() {
				for range 2 {
					if a := w.send(http.DefaultClient, w.request(tt.form.Encode(), tt.edit)); a.StatusCode != tt.status {
						t.Errorf("got status %d, want %d", a.StatusCode, tt.status)
					}
				}
			})
		})
	}
	w.provider.Misbehave(idptest.Fault{})
	w.reload(func(c map[string]any) { reusing()(c); c["mode"] = "observe" })
	w.eventually(func() error {
		if _, enriched := w.ask(form()).claims()["org_code"]; enriched {
			return fmt.Errorf("%w: the gateway doesn't observe", errNotYet)
		}
		return nil
	})
	w.expectCalls(2, "observed", func() { w.ask(form()); w.ask(form()) })
}
