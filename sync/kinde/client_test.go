package kinde

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"m2m-token-enricher/test/idptest"
)

func TestNew(t *testing.T) {
	good := Credentials{"sync", secret}
	for name, c := range map[string]struct {
		base        string
		credentials Credentials
		says        string // empty: it is a client
	}{
		"https":            {"https://example.kinde.com", good, ""},
		"a slash":          {"https://example.kinde.com/", good, ""},
		"a port":           {"https://example.kinde.com:8443", good, ""},
		"http on loopback": {"http://127.0.0.1:8000", good, ""},
		"http":             {"http://example.kinde.com", good, "not an https URL"},
		"no scheme":        {"example.kinde.com", good, "not an https URL"},
		"a user":           {"https://a:b@example.kinde.com", good, "not an https URL"},
		"a path":           {"https://example.kinde.com/api", good, "not a scheme and a host only"},
		"two slashes":      {"https://example.kinde.com//", good, "not a scheme and a host only"},
		"a query":          {"https://example.kinde.com?a=b", good, "not a scheme and a host only"},
		"a fragment":       {"https://example.kinde.com#a", good, "not a scheme and a host only"},
		"no client id":     {"https://example.kinde.com", Credentials{"", secret}, "required"},
		"no client secret": {"https://example.kinde.com", Credentials{"sync", ""}, "required"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := New(c.base, c.credentials)
			if c.says == "" {
				if err != nil || strings.HasSuffix(client.base, "/") {
					t.Errorf("got %v, %v", client, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestCredentialsDontShow, neither alone nor as a part of the client.
func TestCredentialsDontShow(t *testing.T) {
	w := start(t)
	w.list(t)
	w.expectNothingSecret(t, fmt.Sprintf("%v %+v %#v", w.credentials, w.credentials, w.credentials))
	w.expectNothingSecret(t, fmt.Sprintf("%v %+v %#v", w.Client, w.Client, w.Client))
}

// TestRedirects: credentials and tokens go to the tenant only.
func TestRedirects(t *testing.T) {
	w := start(t)
	for _, path := range []string{tokenPath, "/api/v1/user"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprint(path, status), func(t *testing.T) {
				elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					t.Error("the redirect was followed")
				}))
				defer elsewhere.Close()
				defer w.tenant.Replace(path, nil)
				w.tenant.Replace(path, func(rw http.ResponseWriter, r *http.Request) {
					http.Redirect(rw, r, elsewhere.URL, status)
				})
				_, err := w.User(t.Context(), "kp_a")
				w.expectError(t, err, fmt.Sprintf("status %d, a redirect, which isn't followed", status))
			})
		}
	}
}

// shortTokens makes the tenant give tokens that an error has room for.
func (w *world) shortTokens() {
	w.tenant.Misbehave(idptest.Fault{Body: func(body map[string]any) { body["access_token"] = rand.Text() }})
}

// TestRepeatedSecrets: what answers in the tenant's place may repeat all that
// it was sent.
func TestRepeatedSecrets(t *testing.T) {
	for name, answer := range map[string]func(sent string) (status int, body string){
		"in the message": func(sent string) (int, string) {
			return 400, fmt.Sprintf(`{"errors":[{"code":"C","message":%q}]}`, sent)
		},
		"in the code":    func(sent string) (int, string) { return 403, fmt.Sprintf(`{"errors":{"code":%q}}`, sent) },
		"when not found": func(sent string) (int, string) { return 404, fmt.Sprintf(`{"errors":{"code":"C","message":%q}}`, sent) },
		"in a long one": func(sent string) (int, string) {
			return 400, fmt.Sprintf(`{"errors":{"code":"C","message":%q}}`, strings.Repeat(sent, 99))
		},
		"as an OAuth one": func(sent string) (int, string) {
			return 400, fmt.Sprintf(`{"error":%q,"error_description":%q}`, sent, sent)
		},
		"as a page": func(sent string) (int, string) { return 500, sent },
		"as a key": func(sent string) (int, string) {
			return 200, fmt.Sprintf(`{"properties":[{"key":%q,"value":1}]}`, sent)
		},
		"as a value": func(sent string) (int, string) {
			return 200, fmt.Sprintf(`{"properties":[{"key":"a","value":[%q]}]}`, sent)
		},
	} {
		const apiPath = "/api/v1/applications/app_a/properties"
		for _, path := range []string{tokenPath, apiPath} {
			t.Run(name+" of "+path, func(t *testing.T) {
				w := start(t)
				w.shortTokens()
				w.tenant.Replace(path, func(rw http.ResponseWriter, r *http.Request) {
					status, body := answer(r.FormValue("client_secret") + secret + r.Header.Get("Authorization"))
					rw.WriteHeader(status)
					fmt.Fprint(rw, body)
				})
				_, err := w.ApplicationProperties(t.Context(), "app_a")
				w.expectError(t, err, `application "app_a"`)
				if len(err.Error()) > 4*maxMessage {
					t.Errorf("the error has %d bytes", len(err.Error()))
				}
				if name == "when not found" && errors.Is(err, ErrNotFound) != (path == apiPath) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// TestBrokenProtocol: the transport's own error repeats what isn't HTTP.
func TestBrokenProtocol(t *testing.T) {
	w := start(t)
	w.tenant.Replace("/api/v1/user", func(rw http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 %s%s\r\n\r\n", secret, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	})
	_, err := w.User(t.Context(), "kp_a")
	w.expectError(t, err, "malformed HTTP", "[redacted]")
}

// TestRepeatedPreviousToken: when the error is written, the request's token may
// have been replaced.
func TestRepeatedPreviousToken(t *testing.T) {
	w := start(t)
	w.shortTokens()
	var sent []string
	w.tenant.Replace("/api/v1/user", func(rw http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("Authorization"))
		rw.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(rw, `{"errors":[{"code":"TOKEN_INVALID","message":%q}]}`, sent[0])
	})
	_, err := w.User(t.Context(), "kp_a")
	w.expectError(t, err, "status 401", "Bearer [redacted]")
	if len(sent) != 2 || sent[0] == sent[1] {
		t.Fatalf("%d tokens were sent", len(sent))
	}
	if strings.Contains(err.Error(), sent[0]) {
		t.Errorf("it shows the previous token: %v", err)
	}
}
