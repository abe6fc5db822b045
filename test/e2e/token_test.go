package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/stage"
)

func TestEnriched(t *testing.T) {
	w := newWorld(t, nil)
	w.Run("form", func(*testing.T) {
		claims := w.enriched(w.ask(form("scope", "read write")))
		if claims["org_name"] != "Acme Inc" || fmt.Sprint(claims["scp"]) != "[read write]" {
			w.Errorf("got the claims %v, want Acme Inc and both scopes", claims)
		}
	})
	w.Run("json", func(*testing.T) {
		body := fmt.Sprintf(`{"grant_type":"client_credentials","client_id":%q,"client_secret":%q,"audience":["https://a","https://b"]}`, client, secret)
		req := w.tokenRequest(nil)
		req.Header.Set("Content-Type", "application/json")
		req.Body, req.ContentLength = readCloser(body), int64(len(body))
		w.enriched(w.send(http.DefaultClient, req))
	})
	w.Run("basic", func(*testing.T) {
		f := form()
		f.Del("client_id")
		f.Del("client_secret")
		req := w.tokenRequest(f)
		req.SetBasicAuth(client, secret)
		w.enriched(w.send(http.DefaultClient, req))
	})
	w.Run("body over 8 kB", func(*testing.T) { w.enriched(w.ask(form("padding", strings.Repeat("a", 20_000)))) })
	w.Run("http 2", func(*testing.T) {
		c := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		defer c.CloseIdleConnections()
		req := w.tokenRequest(form())
		req.URL, _ = url.Parse(w.gateway.TLSURL() + "/oauth2/token")
		a := w.send(c, req)
		if a.ProtoMajor != 2 {
			w.Errorf("got protocol %s, want HTTP/2", a.Proto)
		}
		w.enriched(a)
	})
	w.Run("the api", func(*testing.T) {
		raw, err := w.provider.Sign(w.provider.Claims(client, []string{"https://api.example.com"}, nil))
		if err != nil {
			w.Fatal(err)
		}
		for token, status := range map[string]int{w.ask(form()).token(): 200, raw: 401} {
			req, _ := http.NewRequest(http.MethodGet, w.gateway.URL()+"/orders", nil)
			req.Header.Set("Authorization", "Bearer "+token)
			if a := w.send(http.DefaultClient, req); a.StatusCode != status {
				w.Errorf("got status %d, want %d", a.StatusCode, status)
			}
		}
	})
}

func TestKeyTypes(t *testing.T) {
	for _, kind := range []string{"rsa", "ec", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			w := build(t, nil)
			w.generateKey(kind)
			w.start()
			w.enriched(w.ask(form()))
		})
	}
}

// TestHeadersOfAnEnrichedAnswer: headers about the provider's body are dropped,
// the others stay.
func TestHeadersOfAnEnrichedAnswer(t *testing.T) {
	w := newWorld(t, nil)
	token, err := w.provider.Sign(w.provider.Claims(client, []string{"https://a"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	w.provider.Misbehave(idptest.Fault{Answer: func(rw http.ResponseWriter, _ *http.Request) {
		h := rw.Header()
		for _, name := range []string{"ETag", "Last-Modified", "Digest", "Content-Digest", "Repr-Digest", "Content-MD5", "Signature", "Signature-Input", "Age", "Expires"} {
			h.Set(name, "1")
		}
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("X-Provider", "kept")
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `{"access_token":%q}`, token)
	}})
	req := w.tokenRequest(form())
	req.Header.Set("If-None-Match", "1")
	a := w.send(http.DefaultClient, req)
	w.enriched(a)
	for _, name := range []string{"ETag", "Last-Modified", "Digest", "Content-Digest", "Repr-Digest", "Content-MD5", "Signature", "Signature-Input", "Age", "Expires", "Content-Encoding"} {
		if v := a.Header.Values(name); len(v) > 0 {
			t.Errorf("%s: got %v, want none", name, v)
		}
	}
	if a.Header.Get("X-Provider") != "kept" || len(a.Header.Values("Set-Cookie")) != 2 {
		t.Errorf("got the headers %v, want X-Provider and two cookies", a.Header)
	}
}

// TestNoCacheKeepsAToken: no cache may keep an answer of the token endpoint,
// enriched, passed or refused, whatever the provider tells caches.
func TestNoCacheKeepsAToken(t *testing.T) {
	forCaches := []string{"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "A-Cache-Of-Tomorrow-Cache-Control", "Surrogate-Control", "Edge-Control", "X-Accel-Expires", "Expires"}
	ask := func(w *world, body string, parameters ...string) answer {
		w.provider.Misbehave(idptest.Fault{Answer: func(rw http.ResponseWriter, _ *http.Request) {
			for _, name := range append(forCaches, "Cache-Control") {
				rw.Header().Add(name, "public")
				rw.Header().Add(name, "max-age=600")
			}
			rw.Header().Set("Surrogate-Key", "kept")
			_, _ = rw.Write([]byte(body))
		}})
		a := w.ask(form(parameters...))
		w.unstored(a)
		for _, name := range forCaches {
			if v := a.Header.Values(name); len(v) > 0 {
				w.Errorf("%s: got %v, want none", name, v)
			}
		}
		if a.Header.Get("Surrogate-Key") != "kept" {
			w.Errorf("got the headers %v, want Surrogate-Key", a.Header)
		}
		return a
	}
	token := func(w *world, audience string) string {
		token, err := w.provider.Sign(w.provider.Claims(client, []string{audience}, nil))
		if err != nil {
			w.Fatal(err)
		}
		return fmt.Sprintf(` {"access_token":%q}`, token)
	}
	passed := func(w *world, body string, parameters ...string) {
		w.Helper()
		if a := ask(w, body, parameters...); a.StatusCode != 200 || string(a.body) != body {
			w.Errorf("got %d %s, want %s", a.StatusCode, a.body, body)
		}
	}
	w := newWorld(t, nil)
	w.Run("enriched", func(*testing.T) { w.enriched(ask(w, token(w, "https://a"))) })
	w.Run("management audience", func(*testing.T) { passed(w, token(w, w.provider.ManagementAudience())) })
	w.Run("another grant", func(*testing.T) { passed(w, `{"access_token":"x"}`, "grant_type", "password") })
	w.Run("not an object", func(*testing.T) { passed(w, `["x"]`) })
	w.Run("a token of another grant that isn't on top", func(*testing.T) { passed(w, `[{"access_token":"x"}]`, "grant_type", "password") })
	w.Run("a hidden token", func(*testing.T) {
		w.refused(ask(w, `[{"access_token":"x"}]`), 502, "server_error", "hidden_token")
	})
	w.Run("refused", func(*testing.T) {
		w.refused(ask(w, `{"access_token":"opaque"}`), 502, "server_error", "opaque_token")
	})
	w.Run("policy continue", func(*testing.T) {
		w := newWorld(w.T, func(c map[string]any) { c["failure_policy"] = "continue" })
		passed(w, `{"access_token":"opaque"}`)
	})
	w.Run("observed", func(*testing.T) {
		w := newWorld(w.T, func(c map[string]any) { c["mode"] = "observe" })
		passed(w, token(w, "https://a"))
		passed(w, `{"access_token":"x","Access_Token":"y"}`)
		passed(w, `{"data":{"access_token":"x"}}`)
	})
}

func TestCompressedAnswers(t *testing.T) {
	w := newWorld(t, nil)
	body := func() []byte {
		token, err := w.provider.Sign(w.provider.Claims(client, []string{"https://a"}, nil))
		if err != nil {
			w.Fatal(err)
		}
		return fmt.Appendf(nil, `{"access_token":%q,"expires_in":86399}`, token)
	}
	encoded := func(encoding string, text []byte) idptest.Fault {
		return idptest.Fault{Answer: func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", encoding)
			rw.Header().Set("Content-Type", "application/json")
			_, _ = rw.Write(text)
		}}
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(body())
	_ = z.Close()
	w.Run("gzip", func(*testing.T) { w.provider.Misbehave(encoded("gzip", zipped.Bytes())); w.enriched(w.ask(form())) })
	w.Run("a compressed management token stays compressed", func(*testing.T) {
		token, err := w.provider.Sign(w.provider.Claims(client, []string{w.provider.ManagementAudience()}, nil))
		if err != nil {
			w.Fatal(err)
		}
		var text bytes.Buffer
		z := gzip.NewWriter(&text)
		fmt.Fprintf(z, `{"access_token":%q}`, token)
		_ = z.Close()
		w.provider.Misbehave(encoded("gzip", text.Bytes()))
		req := w.tokenRequest(form())
		req.Header.Set("Accept-Encoding", "gzip") // by hand, or the client would decompress the answer
		a := w.send(http.DefaultClient, req)
		if !bytes.Equal(a.body, text.Bytes()) || a.Header.Get("Content-Encoding") != "gzip" {
			w.Errorf("changed: %q %v", a.body, a.Header)
		}
		w.unstored(a)
	})
}

// TestManagementToken: the answer reaches the client byte for byte.
func TestManagementToken(t *testing.T) {
	w := newWorld(t, nil)
	token, err := w.provider.Sign(w.provider.Claims(client, []string{w.provider.ManagementAudience()}, nil))
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf(" {\"expires_in\" : 86399,\n\"access_token\":\t%q } ", token)
	w.provider.Misbehave(idptest.Fault{Answer: func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("ETag", `"kept"`)
		_, _ = rw.Write([]byte(before))
	}})
	a := w.ask(form())
	if a.StatusCode != 200 || string(a.body) != before || a.Header.Get("ETag") != `"kept"` {
		t.Errorf("got %d %s %v, want %s", a.StatusCode, a.body, a.Header, before)
	}
	w.unstored(a)
}

func TestPublishedKeys(t *testing.T) {
	w := newWorld(t, nil)
	get := func(method string, header ...string) answer {
		req, err := http.NewRequest(method, w.jwksURL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return w.send(http.DefaultClient, req)
	}
	a := get(http.MethodGet)
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/jwk-set+json" || a.Header.Get("Cache-Control") != "public, max-age=300" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("status %d, headers %v", a.StatusCode, a.Header)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(a.body, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%s: %v", a.body, err)
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
		if _, ok := set.Keys[0][private]; ok {
			t.Errorf("the published key has %s", private)
		}
	}
	if w.provider.Hits("/m2m/jwks.json") != 0 {
		t.Error("the upstream was asked")
	}
	if a := get(http.MethodHead); a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: got status %d and %d bytes, want 200 and none", a.StatusCode, len(a.body))
	}
	if a := get(http.MethodGet, "If-None-Match", a.Header.Get("ETag")); a.StatusCode != http.StatusNotModified {
		t.Errorf("a known entity tag: got status %d, want 304", a.StatusCode)
	}
	w.refused(get(http.MethodDelete), 405, "invalid_request", "bad_request")
}

// TestObserve: the provider's answer reaches the client, whatever the outcome.
func TestObserve(t *testing.T) {
	w := newWorld(t, func(c map[string]any) { c["mode"] = "observe" })
	for name, f := range map[string]url.Values{"enriched": form(), "ambiguous": form("grant_type", "Client_Credentials")} {
		a := w.ask(f)
		if _, err := stage.Verify(context.Background(), w.provider.JWKSURI(), stage.Issuer, a.token()); err != nil {
			t.Errorf("%s: not the provider's token: %v: %s", name, err, a.body)
		}
	}
	if !strings.Contains(w.gateway.Log(), "outcome=ambiguous_request") {
		t.Error("the log doesn't report the outcome")
	}
}

func TestPolicyContinue(t *testing.T) {
	w := newWorld(t, func(c map[string]any) { c["failure_policy"] = "continue" })
	w.provider.Add("other", secret)
	a := w.ask(form("client_id", "other"))
	if _, err := stage.Verify(context.Background(), w.provider.JWKSURI(), stage.Issuer, a.token()); err != nil {
		t.Errorf("not the provider's token: %v: %s", err, a.body)
	}
	w.unstored(a)
	w.record("app:other", "org_code", "org_none")
	w.provider.Add("second", secret)
	w.record("app:second", "org_code", "org_none")
	w.refused(w.ask(form("client_id", "second")), 400, "unauthorized_client", "unknown_organization")
}
