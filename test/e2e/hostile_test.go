package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/stage"
)

// TestHeadersOfAnyBytes: odd bytes from a client are the client's error, never
// the gateway's.
func TestHeadersOfAnyBytes(t *testing.T) {
	w := newWorld(t, nil)
	req := w.tokenRequest(form())
	req.Header.Set("Authorization", "Bearer \xff")
	w.enriched(w.send(http.DefaultClient, req)) // it names no client

	req = w.tokenRequest(form())
	req.Header.Set("Content-Type", "application/\xff")
	w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(nil)})
	w.refused(w.send(http.DefaultClient, req), 400, "invalid_request", "ambiguous_request")

	req = w.tokenRequest(form())
	req.Header.Set("Upgrade", "\xff")
	req.Header.Set("Connection", "Upgrade")
	w.enriched(w.send(http.DefaultClient, req)) // it isn't websocket
}

// TestTwoReaders: a request that two readers understand differently is
// refused, even if the provider answers with a good token.
func TestTwoReaders(t *testing.T) {
	w := newWorld(t, nil)
	w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(nil)})
	const formType = "application/x-www-form-urlencoded"
	for name, change := range map[string]func(*http.Request){
		"a list":                  func(r *http.Request) { setBody(r, "grant_type=password&grant_type[]=client_credentials") },
		"a grant in a query":      func(r *http.Request) { r.URL.RawQuery = "x=1;grant_type=password" },
		"two content types":       func(r *http.Request) { r.Header["Content-Type"] = []string{formType, "application/json"} },
		"two encodings":           func(r *http.Request) { r.Header["Content-Encoding"] = []string{"identity", "gzip"} },
		"a type in a name with _": func(r *http.Request) { r.Header["Content_Type"] = []string{"application/json"} }, // one of CGI's variable
		"a cookie":                func(r *http.Request) { r.Header.Set("Cookie", "a=b; grant_type=password") },
		"another charset":         func(r *http.Request) { r.Header.Set("Content-Type", formType+"; charset=utf-16") },
		"OPTIONS, two grants":     func(r *http.Request) { r.Method, r.URL.RawQuery = "OPTIONS", "grant_type=password" },
		"OPTIONS without a type":  func(r *http.Request) { r.Method = "OPTIONS"; r.Header.Del("Content-Type") },
		"OPTIONS without anything": func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "OPTIONS", nil, 0
			r.Header.Del("Content-Type")
		},
		"two clients": func(r *http.Request) {
			r.SetBasicAuth(client, secret)
			r.Header.Add("Authorization", "Basic b3RoZXI6cw==")
		},
	} {
		w.Run(name, func(*testing.T) {
			req := w.tokenRequest(form())
			change(req)
			w.refused(w.send(http.DefaultClient, req), 400, "invalid_request", "ambiguous_request")
		})
	}
}

// TestTwoReadersOfAShare: while a share is enforced, access lets every request
// through, so the response phase judges all of it.
func TestTwoReadersOfAShare(t *testing.T) {
	w := newWorld(t, func(c map[string]any) { c["enforce_share"] = 99 })
	w.enriched(w.ask(form())) // the client is among them
	w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(nil)})
	for name, change := range map[string]func(*http.Request){
		"a grant in a query": func(r *http.Request) { r.URL.RawQuery = "grant_type=password" },
		"another charset": func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-16")
		},
		"a cookie": func(r *http.Request) { r.Header.Set("Cookie", "grant_type=password") },
	} {
		w.Run(name, func(*testing.T) {
			req := w.tokenRequest(form())
			change(req)
			a := w.send(http.DefaultClient, req) // the provider's: the client isn't known yet
			if _, err := stage.Verify(t.Context(), w.jwksURL(), stage.Issuer, a.token()); err == nil || a.StatusCode != 200 {
				w.Errorf("got status %d, signed by the gateway: %t, want 200 and the provider's token", a.StatusCode, err == nil)
			}
		})
	}
}

// TestOneReading: a request that looks odd, but is the same to every reader, is
// enriched.
func TestOneReading(t *testing.T) {
	w := newWorld(t, nil)
	w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(nil)})
	for name, change := range map[string]func(*http.Request){
		"ASCII in ISO-8859-1": func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=ISO-8859-1")
		},
		"OPTIONS as POST": func(r *http.Request) { r.Method = "OPTIONS" },
	} {
		w.Run(name, func(*testing.T) {
			req := w.tokenRequest(form())
			change(req)
			w.enriched(w.send(http.DefaultClient, req))
		})
	}
}

func setBody(r *http.Request, text string) {
	r.Body, r.ContentLength = readCloser(text), int64(len(text))
}

// TestRedisHangs: with Kong's own default of 2 s for Redis, longer than the
// handler's time, a cached record still serves.
func TestRedisHangs(t *testing.T) {
	w := newWorld(t, func(c map[string]any) {
		c["redis"].(map[string]any)["timeout"] = 2000
		c["cache"] = map[string]any{"ttl": 0, "stale_ttl": 3600}
	})
	w.enriched(w.ask(form()))
	w.redis.Pause()
	defer w.redis.Resume()
	for i := range 3 {
		if a := w.ask(form()); a.StatusCode != 200 {
			t.Fatal(fmt.Errorf("request %d: status %d: %s", i, a.StatusCode, a.body))
		}
	}
}
