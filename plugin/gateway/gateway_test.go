package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// config is one with its keys in file. No Redis and no provider are there.
func config(t *testing.T, file string) *schema.Config {
	t.Helper()
	text := fmt.Appendf(nil, `{"issuer":"https://example.kinde.com","redis":{"host":"127.0.0.1","port":1},
		"jwks_uri":"http://127.0.0.1:1/jwks","signing":{"jwks_file":%q},"claims":[{"name":"org_code","from":"organization.code"}]}`, file)
	cfg, err := Validated(schema.ParseInstance(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// open opens a gateway that ends with the test.
func open(t *testing.T, cfg *schema.Config, o Options) *Gateway {
	t.Helper()
	g, err := Open(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// keyFile is a file with the private JWKs keys.
func keyFile(t *testing.T, keys ...json.RawMessage) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.json")
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// generated is a private JWK.
func generated(t *testing.T) json.RawMessage {
	t.Helper()
	text, err := jws.Generate("ec")
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys[0]
}

// TestNews: the log says once what serves, and with which keys.
func TestNews(t *testing.T) {
	g := open(t, config(t, keyFile(t, generated(t))), Options{})
	if news := g.News(); news != "" {
		t.Errorf("before the keys were read: %s", news)
	}
	ring, err := g.Keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	news := g.News()
	for _, want := range []string{"serving ", `issuer="https://example.kinde.com"`, "signs=" + ring.KeyID(), "ES256", `redis="redis at 127.0.0.1:1"`, "mode=enforce", "policy=stop"} {
		if !strings.Contains(news, want) {
			t.Errorf("%q isn't in %s", want, news)
		}
	}
	if again := g.News(); again != "" {
		t.Errorf("said again: %s", again)
	}
	if strings.Contains(news, "reuse") {
		t.Errorf("reuse is off, but is in %s", news)
	}
}

// TestNewsOfReuse: the log says what may be given again.
func TestNewsOfReuse(t *testing.T) {
	cfg := config(t, keyFile(t, generated(t)))
	cfg.Reuse.Enabled, cfg.Reuse.IfProviderFails = true, true
	g := open(t, cfg, Options{})
	if _, err := g.Keys.Ring(t.Context()); err != nil {
		t.Fatal(err)
	}
	if news := g.News(); !strings.HasSuffix(news, " reuse_max_age=300 reuse_shared=false reuse_if_provider_fails=true") {
		t.Errorf("got %s, want the settings of reuse at its end", news)
	}
}

// TestState: a gateway without a ring or the provider's keys isn't ready, and
// says what is missing.
func TestState(t *testing.T) {
	g := open(t, config(t, keyFile(t, generated(t), generated(t))), Options{})
	ring, err := g.Keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := g.State()
	if len(s.Keys) != 2 || s.Keys[0].ID != ring.KeyID() || s.Keys[0].Algorithm != "ES256" || s.KeyFile.IsZero() {
		t.Errorf("got %+v", s)
	}
	if s.NotReady == nil || strings.Contains(s.NotReady.Error(), "signing key") {
		t.Errorf("not ready: %v", s.NotReady)
	}
	s = open(t, config(t, "/nonexistent/keys.json"), Options{}).State()
	if s.NotReady == nil || !strings.Contains(s.NotReady.Error(), "no signing key") || len(s.Keys) != 0 {
		t.Errorf("without a key file: %+v", s)
	}
}

// TestPublish: the keys and the issuer's metadata are at their paths, for as long
// as the configuration says, and nothing else is anywhere.
func TestPublish(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"issuer":"https://example.kinde.com","jwks_uri":"https://example.kinde.com/jwks","token_endpoint":"https://example.kinde.com/oauth2/token"}`)
	}))
	t.Cleanup(provider.Close)
	cfg := config(t, keyFile(t, generated(t)))
	cfg.Signing.Issuer, cfg.Signing.JWKSMaxAge = "https://gateway.example.com/a", 60
	g := open(t, cfg, Options{Transport: only(provider.URL)})
	for path, tt := range map[string]struct{ contentType, has string }{
		cfg.Signing.JWKSPath:                        {"application/jwk-set+json", `"kty":"EC"`},
		"/.well-known/oauth-authorization-server/a": {"application/json", `"token_endpoint":"https://gateway.example.com/oauth2/token"`},
		"/a/.well-known/openid-configuration":       {"application/json", `"issuer":"https://gateway.example.com/a"`},
		"/.well-known/openid-configuration/a":       {"application/json", `"jwks_uri":"https://gateway.example.com` + cfg.Signing.JWKSPath},
	} {
		doc, err := g.Publish(t.Context(), path)
		if err != nil || !g.Publishes(path) || doc.ContentType != tt.contentType || doc.MaxAge.Seconds() != 60 || !strings.Contains(string(doc.Body), tt.has) {
			t.Errorf("Publish(%s) = %+v, %v", path, doc, err)
		}
		if strings.Contains(string(doc.Body), `"d":`) {
			t.Errorf("%s shows a private key", path)
		}
	}
	for _, path := range []string{"/", "", "/.well-known/openid-configuration", cfg.Signing.JWKSPath + "/"} {
		if doc, err := g.Publish(t.Context(), path); err == nil || g.Publishes(path) {
			t.Errorf("Publish(%q) = %+v", path, doc)
		}
	}
	for _, path := range []string{cfg.Signing.JWKSPath, "/a/.well-known/openid-configuration"} {
		keyless := *cfg
		keyless.Signing.JWKSFile = "/nonexistent/keys.json"
		if doc, err := open(t, &keyless, Options{}).Publish(t.Context(), path); err == nil || doc.Body != nil {
			t.Errorf("without a key: Publish(%s) = %+v", path, doc)
		}
	}
}

// only sends every request to one server.
type only string

// RoundTrip implements [http.RoundTripper].
func (o only) RoundTrip(r *http.Request) (*http.Response, error) {
	there, err := http.NewRequestWithContext(r.Context(), r.Method, string(o)+r.URL.Path, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultTransport.RoundTrip(there)
}

// TestReadsIP: Kong is asked for the client's IP only if an expression reads it.
func TestReadsIP(t *testing.T) {
	for source, want := range map[string]bool{"event.request.ip": true, "organization.plan": false, "": false} {
		cfg := config(t, keyFile(t, generated(t)))
		if source != "" {
			cfg.Claims = []schema.Claim{{Name: "c", Expr: source, Type: schema.TypeString}}
		}
		cfg, err := Validated(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := open(t, cfg, Options{}).ReadsIP(); got != want {
			t.Errorf("%q: got %t, want %t", source, got, want)
		}
	}
}
