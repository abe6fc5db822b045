package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/stage"
)

func readCloser(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }

// TestWhatAccessRefuses: requests that would get around the response phase, or
// that no token endpoint knows.
func TestWhatAccessRefuses(t *testing.T) {
	w := newWorld(t, nil)
	for _, upgrade := range [][]string{{"websocket"}, {"WebSocket"}, {"h2c, websocket"}, {"TLS/1.2,WEBSOCKET"}, {"websocket/13"}, {"TLS/1.2", "websocket"}} {
		req := w.tokenRequest(form())
		req.Header.Set("Connection", "Upgrade")
		req.Header["Upgrade"] = upgrade
		w.refused(w.send(http.DefaultClient, req), 400, "invalid_request", "bad_request")
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "BREW"} {
		req := w.tokenRequest(nil)
		req.Method, req.Body, req.ContentLength = method, nil, 0
		a := w.send(http.DefaultClient, req)
		w.refused(a, 405, "invalid_request", "bad_request")
		if a.Header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("allow %q", a.Header.Get("Allow"))
		}
	}
	req := w.tokenRequest(nil)
	req.Method, req.Body, req.ContentLength = "HEAD", nil, 0
	if a := w.send(http.DefaultClient, req); a.StatusCode != 405 {
		t.Errorf("HEAD: status %d", a.StatusCode)
	}
	if n := w.provider.Hits("/oauth2/token"); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
	req = w.tokenRequest(nil)
	req.Method, req.Body, req.ContentLength = "OPTIONS", nil, 0
	if a := w.send(http.DefaultClient, req); a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("OPTIONS: status %d", a.StatusCode)
	}
}

// TestOtherUpgrades: an offer of another protocol is one that Kong ignores.
// Apache HttpClient sends TLS/1.2 with each request over plain http.
func TestOtherUpgrades(t *testing.T) {
	w := newWorld(t, nil)
	for _, upgrade := range []string{"TLS/1.2", "h2c", "TLS/1.2, HTTP/1.1", "websockets"} {
		req := w.tokenRequest(form())
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", upgrade)
		w.enriched(w.send(http.DefaultClient, req))
	}
}

func TestRequests(t *testing.T) {
	w := newWorld(t, nil)
	send := func(contentType, query, body string) answer {
		req := w.tokenRequest(nil)
		req.URL.RawQuery = query
		req.Header.Set("Content-Type", contentType)
		req.Body, req.ContentLength = readCloser(body), int64(len(body))
		return w.send(http.DefaultClient, req)
	}
	const formType = "application/x-www-form-urlencoded"
	credentials := "client_id=" + client + "&client_secret=" + secret
	for name, a := range map[string]answer{
		"two grants":         send(formType, "", credentials+"&grant_type=client_credentials&grant_type=password"),
		"grant in the query": send(formType, "grant_type=client_credentials", credentials+"&grant_type=client_credentials"),
		"no grant":           send(formType, "", credentials),
		"another case":       send(formType, "", credentials+"&GRANT_TYPE=client_credentials"),
		"over 64 KiB":        send(formType, "", credentials+"&grant_type=client_credentials&x="+strings.Repeat("a", 70_000)),
	} {
		w.Run(name, func(*testing.T) { w.refused(a, 400, "invalid_request", "ambiguous_request") })
	}
	w.Run("multipart", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(nil)})
		defer w.provider.Misbehave(idptest.Fault{})
		w.refused(send("multipart/form-data; boundary=x", "", "--x--"), 400, "invalid_request", "ambiguous_request")
	})
	w.Run("another grant", func(*testing.T) {
		a := w.ask(form("grant_type", "authorization_code"))
		if a.StatusCode != 200 || !strings.Contains(string(a.body), `"refresh_token":"refresh"`) {
			w.Errorf("status %d: %s", a.StatusCode, a.body)
		}
		w.unstored(a)
	})
	w.Run("wrong secret", func(*testing.T) {
		a := w.ask(form("client_secret", "wrong"))
		if a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") == "" || !strings.Contains(string(a.body), "invalid_client") {
			w.Errorf("status %d: %s", a.StatusCode, a.body)
		}
	})
}

// goodAnswer is the provider's answer with a good token, changed by change.
func (w *world) goodAnswer(change func(token string, h http.Header) (status int, body string)) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		token, err := w.provider.Sign(w.provider.Claims(client, []string{"https://a"}, nil))
		if err != nil {
			w.Error(err)
		}
		rw.Header().Set("Content-Type", "application/json")
		status, body := 200, fmt.Sprintf(`{"access_token":%q}`, token)
		if change != nil {
			status, body = change(token, rw.Header())
		}
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(body))
	}
}

func TestUpstreamAnswers(t *testing.T) {
	w := newWorld(t, nil)
	bad := map[string]func(string, http.Header) (int, string){
		"307": func(token string, h http.Header) (int, string) {
			h.Set("Location", "https://elsewhere.example")
			return 307, fmt.Sprintf(`{"access_token":%q}`, token)
		},
		"html with a token inside": func(token string, h http.Header) (int, string) {
			h.Set("Content-Type", "text/html")
			return 200, `<html>{"access_token":"` + token + `"}</html>`
		},
		"duplicate member": func(token string, _ http.Header) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":%q,"access_token":%q}`, token, token)
		},
		"another case": func(token string, _ http.Header) (int, string) { return 200, fmt.Sprintf(`{"Access_Token":%q}`, token) },
		"invalid utf-8": func(token string, _ http.Header) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":%q,"a":"`+"\xff"+`"}`, token)
		},
		"byte order mark": func(token string, _ http.Header) (int, string) {
			return 200, "\ufeff" + fmt.Sprintf(`{"access_token":%q}`, token)
		},
		"nesting bomb": func(token string, _ http.Header) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":%q,"a":`, token) + strings.Repeat("[", 100_000)
		},
		"300 KiB": func(token string, _ http.Header) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":%q,"a":%q}`, token, strings.Repeat("a", 300<<10))
		},
		"refresh token": func(token string, _ http.Header) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":%q,"refresh_token":"r"}`, token)
		},
		"id token": func(token string, _ http.Header) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":%q,"id_token":%q}`, token, token)
		},
		"unknown encoding": func(token string, h http.Header) (int, string) {
			h.Set("Content-Encoding", "rot13")
			return 200, "nonsense"
		},
		"a body in a 2xx that isn't json": func(string, http.Header) (int, string) { return 200, "ok" },
	}
	for name, change := range bad {
		w.Run(name, func(*testing.T) {
			w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(change)})
			a := w.ask(form())
			w.refused(a, 502, "server_error", "bad_token_response")
			if a.Header.Get("Location") != "" {
				w.Error("the location stays")
			}
		})
	}
	w.Run("201", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(func(token string, _ http.Header) (int, string) {
			return 201, fmt.Sprintf(`{"access_token":%q}`, token)
		})})
		a := w.ask(form())
		if a.StatusCode != 201 {
			w.Errorf("status %d", a.StatusCode)
		}
		w.enriched(a)
	})
	w.Run("json without a token", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(func(string, http.Header) (int, string) { return 200, ` {"a":1}` })})
		if a := w.ask(form()); a.StatusCode != 200 || string(a.body) != ` {"a":1}` {
			w.Errorf("status %d: %s", a.StatusCode, a.body)
		}
	})
	w.Run("503", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(func(string, http.Header) (int, string) { return 503, "down" })})
		if a := w.ask(form()); a.StatusCode != 503 || string(a.body) != "down" {
			w.Errorf("status %d: %s", a.StatusCode, a.body)
		}
	})
	w.Run("opaque token", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Token: func(string) string { return "2YotnFZFEjr1zCsicMWpAA" }})
		w.refused(w.ask(form()), 502, "server_error", "opaque_token")
	})
	w.Run("jwe", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Token: func(string) string { return "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d" }})
		w.refused(w.ask(form()), 502, "server_error", "opaque_token")
	})
}

// TestForgedTokens: nothing that the provider doesn't vouch for gets the
// gateway's signature.
func TestForgedTokens(t *testing.T) {
	w := newWorld(t, nil)
	kid, key := w.provider.Key()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	var asked atomic.Bool
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer trap.Close()
	signed := func(method jwt.SigningMethod, key any, header map[string]any) func(string) string {
		return func(good string) string {
			claims := jwt.MapClaims{}
			if _, _, err := jwt.NewParser().ParseUnverified(good, claims); err != nil {
				w.Error(err)
			}
			token := jwt.NewWithClaims(method, claims)
			token.Header["kid"] = kid
			for name, value := range header {
				token.Header[name] = value
			}
			text, err := token.SignedString(key)
			if err != nil {
				w.Error(err)
			}
			return text
		}
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	segment := func(token string, i int, change func(string) string) string {
		parts := strings.Split(token, ".")
		text, _ := base64.RawURLEncoding.DecodeString(parts[i])
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(change(string(text))))
		return strings.Join(parts, ".")
	}
	tokens := map[string]func(string) string{
		"alg none":                  signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"hs256 with the public key": signed(jwt.SigningMethodHS256, public, nil),
		"another key":               signed(jwt.SigningMethodRS256, other, nil),
		"unknown crit":              signed(jwt.SigningMethodRS256, key, map[string]any{"crit": []string{"x"}, "x": 1}),
		"jku":                       signed(jwt.SigningMethodRS256, other, map[string]any{"jku": trap.URL, "kid": "trap"}),
		"x5u":                       signed(jwt.SigningMethodRS256, other, map[string]any{"x5u": trap.URL, "kid": "trap"}),
		"jwk":                       signed(jwt.SigningMethodRS256, other, map[string]any{"jwk": map[string]any{"kty": "RSA", "n": "AQ", "e": "AQAB"}}),
		"x5c":                       signed(jwt.SigningMethodRS256, other, map[string]any{"x5c": []string{"MII"}}),
		"kid as a path":             signed(jwt.SigningMethodRS256, other, map[string]any{"kid": "../../../../dev/null"}),
		"kid as a redis key":        signed(jwt.SigningMethodRS256, other, map[string]any{"kid": prefix + "app:" + client}),
		"an algorithm not accepted": signed(jwt.SigningMethodRS512, key, nil),
		"payload changed": func(good string) string {
			return segment(good, 1, func(s string) string { return strings.Replace(s, client, "other", 1) })
		},
		"duplicate in the header": func(good string) string {
			return segment(good, 0, func(s string) string { return `{"alg":"none",` + s[1:] })
		},
		"duplicate in the payload": func(good string) string {
			return segment(good, 1, func(s string) string { return `{"azp":"other",` + s[1:] })
		},
		"signature cut":     func(good string) string { return good[:len(good)-4] },
		"signature missing": func(good string) string { return good[:strings.LastIndex(good, ".")+1] },
	}
	for name, forge := range tokens {
		w.Run(name, func(*testing.T) {
			w.provider.Misbehave(idptest.Fault{Token: forge})
			w.refused(w.ask(form()), 502, "server_error", "untrusted_token")
		})
	}
	if asked.Load() {
		t.Error("a URL in a token's header was followed")
	}
}

func TestClaimsThatAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now().Unix()
	for name, change := range map[string]func(map[string]any){
		"wrong issuer":        func(c map[string]any) { c["iss"] = "https://evil.example" },
		"issuer with a slash": func(c map[string]any) { c["iss"] = w.provider.Issuer() + "/" },
		"expired":             func(c map[string]any) { c["exp"] = now - 3600 },
		"not yet valid":       func(c map[string]any) { c["nbf"] = now + 3600 },
		"missing exp":         func(c map[string]any) { delete(c, "exp") },
		"exp in another case": func(c map[string]any) { delete(c, "exp"); c["EXP"] = now + 3600 },
		"missing client id":   func(c map[string]any) { delete(c, "azp") },
	} {
		w.Run(name, func(*testing.T) {
			w.provider.Misbehave(idptest.Fault{Claims: change})
			w.refused(w.ask(form()), 502, "server_error", "untrusted_token")
		})
	}
	w.Run("another client", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Claims: func(c map[string]any) { c["azp"] = "other" }})
		w.refused(w.ask(form()), 502, "server_error", "client_mismatch")
	})
	w.Run("another organization", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Claims: func(c map[string]any) { c["org_code"] = "org_other" }})
		w.refused(w.ask(form()), 400, "unauthorized_client", "claim_conflict")
	})
	w.Run("integers above 2^53", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Claims: func(c map[string]any) { c["big"] = json.Number("9007199254740993") }})
		a := w.ask(form())
		w.enriched(a)
		_, text, err := stage.Unverified(a.token())
		if err != nil || !strings.Contains(string(text), `"big":9007199254740993`) {
			w.Errorf("%s: %v", text, err)
		}
	})
	w.Run("too large", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Claims: func(c map[string]any) { c["x"] = strings.Repeat("a", 7000) }})
		w.refused(w.ask(form()), 400, "unauthorized_client", "token_too_large")
	})
}
