package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
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
)

func readCloser(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }

// TestWhatAccessRefuses: access refuses requests that would bypass the response
// phase, and methods that no token endpoint has.
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
			t.Errorf("%s: got Allow %q, want POST and OPTIONS", method, a.Header.Get("Allow"))
		}
	}
	req := w.tokenRequest(nil)
	req.Method, req.Body, req.ContentLength = "HEAD", nil, 0
	if a := w.send(http.DefaultClient, req); a.StatusCode != 405 {
		t.Errorf("HEAD: got status %d, want 405", a.StatusCode)
	}
	if n := w.provider.Hits("/oauth2/token"); n != 0 {
		t.Errorf("the upstream was asked %d times, want never", n)
	}
	req = w.tokenRequest(nil)
	req.Method, req.Body, req.ContentLength = "OPTIONS", nil, 0
	if a := w.send(http.DefaultClient, req); a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("OPTIONS: got status %d, headers %v, want 204 and the upstream's", a.StatusCode, a.Header)
	}
}

// TestOtherUpgrades: Kong ignores the offer of another protocol.
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
	w.Run("over 64 KiB", func(*testing.T) {
		w.refused(w.ask(form("x", strings.Repeat("a", 70_000))), 400, "invalid_request", "ambiguous_request")
	})
	w.Run("another grant", func(*testing.T) {
		a := w.ask(form("grant_type", "authorization_code"))
		if a.StatusCode != 200 || !strings.Contains(string(a.body), `"refresh_token":"refresh"`) {
			w.Errorf("got %d %s, want the provider's answer", a.StatusCode, a.body)
		}
		w.unstored(a)
	})
	w.Run("wrong secret", func(*testing.T) {
		a := w.ask(form("client_secret", "wrong"))
		if a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") == "" || !strings.Contains(string(a.body), "invalid_client") {
			w.Errorf("got %d %s, want the provider's answer", a.StatusCode, a.body)
		}
	})
}

// goodAnswer is the provider's answer with a good token, which change may change.
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
	w.Run("307", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(func(token string, h http.Header) (int, string) {
			h.Set("Location", "https://elsewhere.example")
			return 307, fmt.Sprintf(`{"access_token":%q}`, token)
		})})
		a := w.ask(form())
		w.refused(a, 502, "server_error", "bad_token_response")
		if a.Header.Get("Location") != "" {
			w.Error("the location stays")
		}
	})
	w.Run("201", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(func(token string, _ http.Header) (int, string) {
			return 201, fmt.Sprintf(`{"access_token":%q}`, token)
		})})
		a := w.ask(form())
		if a.StatusCode != 201 {
			w.Errorf("got status %d, want 201", a.StatusCode)
		}
		w.enriched(a)
	})
	w.Run("byte order mark", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(func(token string, _ http.Header) (int, string) {
			return 200, fmt.Sprintf("\ufeff{\"access_token\":%q}", token)
		})})
		w.enriched(w.ask(form()))
	})
	w.Run("a mark in an answer that passes", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(func(string, http.Header) (int, string) { return 200, "\ufeff{\"a\":1}" })})
		if a := w.ask(form()); a.StatusCode != 200 || string(a.body) != "\ufeff{\"a\":1}" {
			w.Errorf("got %d %q, want the provider's answer", a.StatusCode, a.body)
		}
	})
	w.Run("json without a token", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(func(string, http.Header) (int, string) { return 200, ` {"a":1}` })})
		if a := w.ask(form()); a.StatusCode != 200 || string(a.body) != ` {"a":1}` {
			w.Errorf("got %d %s, want the provider's answer", a.StatusCode, a.body)
		}
	})
	w.Run("503", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Answer: w.goodAnswer(func(string, http.Header) (int, string) { return 503, "down" })})
		if a := w.ask(form()); a.StatusCode != 503 || string(a.body) != "down" {
			w.Errorf("got %d %s, want the provider's answer", a.StatusCode, a.body)
		}
	})
	w.Run("opaque token", func(*testing.T) {
		w.provider.Misbehave(idptest.Fault{Token: func(string) string { return "2YotnFZFEjr1zCsicMWpAA" }})
		w.refused(w.ask(form()), 502, "server_error", "opaque_token")
	})
}

// TestOtherTokens: an enriched answer lacks the tokens beside the access token, and
// Kong's log says so once.
func TestOtherTokens(t *testing.T) {
	w := newWorld(t, nil)
	w.provider.Misbehave(idptest.Fault{Body: func(body map[string]any) { body["id_token"], body["refresh_token"] = "an.id.token", "refresh" }})
	for range 2 {
		a := w.ask(form())
		w.enriched(a)
		if strings.Contains(string(a.body), "id_token") || strings.Contains(string(a.body), "refresh") || !strings.Contains(string(a.body), "expires_in") {
			w.Errorf("got %s, want it without the other tokens alone", a.body)
		}
	}
	if n := strings.Count(w.gateway.Log(), "other tokens: "); n != 1 {
		w.Errorf("logged %d times, want once", n)
	}
}

// TestForgedTokens: the gateway signs nothing that the provider doesn't vouch
// for.
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
	tokens := map[string]func(string) string{
		"alg none":                  signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"hs256 with the public key": signed(jwt.SigningMethodHS256, public, nil),
		"another key":               signed(jwt.SigningMethodRS256, other, nil),
		"jku":                       signed(jwt.SigningMethodRS256, other, map[string]any{"jku": trap.URL, "kid": "trap"}),
		"payload changed": func(good string) string {
			parts := strings.Split(good, ".")
			text, _ := base64.RawURLEncoding.DecodeString(parts[1])
			parts[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(text, []byte(client), []byte("other"), 1))
			return strings.Join(parts, ".")
		},
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
		"wrong issuer":      func(c map[string]any) { c["iss"] = "https://evil.example" },
		"expired":           func(c map[string]any) { c["exp"] = now - 3600 },
		"missing exp":       func(c map[string]any) { delete(c, "exp") },
		"missing client id": func(c map[string]any) { delete(c, "azp") },
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
}
