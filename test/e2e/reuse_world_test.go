package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/stage"
)

// reuseSecret protects what gateways share in these tests.
const reuseSecret = "a-reuse-secret-of-the-tests"

// reusing turns reuse on, with settings: pairs of a field's name and its value. Each
// lookup asks Redis, so that a changed record counts at once. Requests have much time,
// for a busy machine.
func reusing(settings ...any) func(map[string]any) {
	return func(c map[string]any) {
		fields := map[string]any{"enabled": true}
		for i := 0; i < len(settings); i += 2 {
			fields[settings[i].(string)] = settings[i+1]
		}
		c["reuse"] = fields
		c["cache"] = map[string]any{"ttl": 0, "negative_ttl": 0}
		c["timeout"], c["redis"].(map[string]any)["timeout"] = 10_000, 5_000
	}
}

// in returns w for a test within its test.
func (w *world) in(t *testing.T) *world {
	inner := *w
	inner.T = t
	return &inner
}

// newReusing is newWorld with reuse and settings of it. Its gateway gives answers again.
func newReusing(t *testing.T, settings ...any) *world {
	t.Helper()
	w := newWorld(t, reusing(settings...))
	w.reuses(nil)
	return w
}

// reuses waits until the gateway gives an answer again to requests that edit changes. Its
// first requests don't wait long for the purge marks, without which nothing is held.
func (w *world) reuses(edit func(*http.Request)) {
	w.Helper()
	f := form("scope", fmt.Sprintf("first-of-%p", w)).Encode()
	w.eventually(func() error {
		first := w.send(http.DefaultClient, w.request(f, edit))
		if again := w.send(http.DefaultClient, w.request(f, edit)); first.token() == "" || again.token() != first.token() {
			return fmt.Errorf("%w: the gateway gives no answer again", errNotYet)
		}
		return nil
	})
}

// calls is how many token requests have reached the provider.
func (w *world) calls() int { return w.provider.Hits("/oauth2/token") }

// expectCalls fails the test unless f makes want calls to the provider.
func (w *world) expectCalls(want int, what string, f func()) {
	w.Helper()
	before := w.calls()
	f()
	if got := w.calls() - before; got != want {
		w.Errorf("%s: got %d calls to the provider, want %d", what, got, want)
	}
}

// repeats fails the test unless the gateway gives a again without a call.
func (w *world) repeats(what string, a answer, req *http.Request) {
	w.Helper()
	w.expectCalls(0, what, func() {
		if again := w.send(http.DefaultClient, req); again.token() != a.token() {
			w.Errorf("%s: got status %d and the token %v, want %v again", what, again.StatusCode, again.claims()["jti"], a.claims()["jti"])
		}
	})
}

// request is the token request with a body, changed by edit.
func (w *world) request(body string, edit func(*http.Request)) *http.Request {
	w.Helper()
	req, err := http.NewRequest(http.MethodPost, w.gateway.URL()+"/oauth2/token", strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Host = w.host
	if edit != nil {
		edit(req)
	}
	return req
}

// beside starts another gateway with the same configuration, keys, Redis and
// provider.
func (w *world) beside() *world {
	w.Helper()
	other := *w
	other.startSharing()
	return &other
}

// claims returns the claims of an answer's token, whoever signed it.
func (a answer) claims() map[string]any {
	var claims map[string]any
	if _, text, err := stage.Unverified(a.token()); err == nil {
		_ = json.Unmarshal(text, &claims) // no JSON, no claims
	}
	return claims
}

// issue is an answer of the provider with a good token for client, with a status and
// headers: pairs of name and value.
func (w *world) issue(status int, headers ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		token, err := w.provider.Sign(w.provider.Claims(client, []string{"https://api.example.com"}, nil))
		if err != nil {
			w.Error(err)
		}
		rw.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			rw.Header().Set(headers[i], headers[i+1])
		}
		rw.WriteHeader(status)
		fmt.Fprintf(rw, `{"access_token":%q,"token_type":"bearer","expires_in":%d}`, token, idptest.Lifetime)
	}
}

// lifetime is the answer's expires_in.
func (a answer) lifetime() int {
	var body struct {
		ExpiresIn int `json:"expires_in"`
	}
	_ = json.Unmarshal(a.body, &body) // no JSON, no lifetime
	return body.ExpiresIn
}

// hold lets the provider keep its answers back until release is called, or the test
// ends. If first is set, it keeps back the first alone.
func (w *world) hold(first bool) (release func()) {
	done := make(chan struct{})
	release = sync.OnceFunc(func() {
		w.provider.Misbehave(idptest.Fault{})
		close(done)
	})
	w.Cleanup(release)
	var asked atomic.Int32
	w.provider.Misbehave(idptest.Fault{Token: func(token string) string {
		if n := asked.Add(1); n == 1 || !first {
			<-done
		}
		return token
	}})
	return release
}

// result is what became of a request of one of many clients.
type result struct {
	status int
	body   []byte
	took   time.Duration
	err    error
}

// crowd is clients that ask the same at once, each on a connection of its own.
type crowd struct {
	running sync.WaitGroup
	results []result
}

// ask starts n clients with the form f. They give up when ctx ends.
func (c *crowd) ask(ctx context.Context, w *world, n int, f url.Values) {
	all := make([]result, n)
	c.results = all
	for i := range n {
		req := w.tokenRequest(f).WithContext(ctx)
		c.running.Go(func() { all[i] = once(req) })
	}
}

func once(req *http.Request) (r result) {
	transport := &http.Transport{DisableKeepAlives: true}
	begun := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return result{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return result{resp.StatusCode, body, time.Since(begun), err}
}

// lost waits for the clients and returns how many got no token. Each must have its
// answer within limit.
func (c *crowd) lost(t *testing.T, limit time.Duration) (lost int) {
	t.Helper()
	c.running.Wait()
	for _, r := range c.results {
		if r.err != nil || r.took > limit {
			t.Errorf("got an answer after %v, error %v; want one within %v", r.took, r.err, limit)
		}
		if r.status != 200 || (answer{body: r.body}).token() == "" {
			lost++
		}
	}
	return lost
}
