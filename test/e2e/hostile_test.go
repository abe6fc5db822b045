package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"m2m-token-enricher/test/idptest"
)

// TestHeadersOfAnyBytes: what a client sends is the client's mistake, not an
// error of the gateway's.
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
	w.refused(w.send(http.DefaultClient, req), 400, "invalid_request", "bad_request")
}

// TestTwoReaders: what readers disagree on is refused, though the provider
// answered with a good token.
func TestTwoReaders(t *testing.T) {
	w := newWorld(t, nil)
	w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(nil)})
	const formType = "application/x-www-form-urlencoded"
	for name, change := range map[string]func(*http.Request){
		"a list":            func(r *http.Request) { setBody(r, "grant_type=password&grant_type[]=client_credentials") },
		"a dot":             func(r *http.Request) { setBody(r, "grant_type=password&grant.type=client_credentials") },
		"an encoded body":   func(r *http.Request) { r.Header.Set("Content-Encoding", "deflate") },
		"two content types": func(r *http.Request) { r.Header["Content-Type"] = []string{formType, "application/json"} },
		"two encodings":     func(r *http.Request) { r.Header["Content-Encoding"] = []string{"identity", "gzip"} },
	} {
		w.Run(name, func(*testing.T) {
			req := w.tokenRequest(form())
			change(req)
			w.refused(w.send(http.DefaultClient, req), 400, "invalid_request", "ambiguous_request")
		})
	}
	w.Run("two clients", func(*testing.T) {
		req := w.tokenRequest(form())
		req.SetBasicAuth(client, secret)
		req.Header.Add("Authorization", "Basic b3RoZXI6cw==")
		w.refused(w.send(http.DefaultClient, req), 400, "invalid_request", "ambiguous_request")
	})
}

func setBody(r *http.Request, text string) {
	r.Body, r.ContentLength = readCloser(text), int64(len(text))
}

// TestRedisHangs: with Kong's own default of 2 s for Redis, longer than the
// handler's time, a held record still serves.
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
