package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"m2m-token-enricher/test/idptest"
)

// issuerWorld is a world whose gateway is an issuer at its TLS address and
// path, in front of a provider with a discovery document.
func issuerWorld(t *testing.T, path string) (*world, *http.Client) {
	t.Helper()
	w := build(t, nil)
	w.provider.Close()
	provider, err := idptest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.Close)
	provider.Add(client, secret)
	w.provider = provider
	w.paths = []any{"~/oauth2/token$", "~/m2m/jwks[.]json$", "~/.*[.]well-known/.*$"}
	w.edit = func(c map[string]any) {
		delete(c, "jwks_uri")
		c["issuer"], c["prefix"], c["management_audiences"] = provider.Issuer(), prefix, []any{}
	}
	w.start()
	named := w.edit
	w.edit = func(c map[string]any) {
		named(c)
		c["signing"].(map[string]any)["issuer"] = w.gateway.TLSURL() + path
	}
	if err := w.gateway.Reload(w.config()); err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	t.Cleanup(c.CloseIdleConnections)
	w.eventually(func() error { // Kong's workers follow a reload a little later
		if a := w.get(c, w.gateway.TLSURL()+path+"/.well-known/openid-configuration"); a.StatusCode != 200 {
			return fmt.Errorf("status %d: %s", a.StatusCode, a.body)
		}
		return nil
	})
	return w, c
}

func (w *world) get(c *http.Client, url string) answer {
	w.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		w.Fatal(err)
	}
	return w.send(c, req)
}

// TestIssuerWithAnOIDCLibrary: a client library that knows nothing but the
// issuer finds the keys and verifies the gateway's token.
func TestIssuerWithAnOIDCLibrary(t *testing.T) {
	for _, path := range []string{"", "/tenants/a"} {
		t.Run("path "+path, func(t *testing.T) {
			w, c := issuerWorld(t, path)
			issuer := w.gateway.TLSURL() + path
			ctx := oidc.ClientContext(context.Background(), c)
			discovered, err := oidc.NewProvider(ctx, issuer)
			if err != nil {
				t.Fatal(err)
			}
			if got := discovered.Endpoint().TokenURL; got != w.gateway.TLSURL()+"/oauth2/token" {
				t.Errorf("token endpoint %s, want the gateway's", got)
			}
			verifier := discovered.Verifier(&oidc.Config{ClientID: "https://api.example.com"})
			token, err := verifier.Verify(ctx, w.ask(form()).token())
			if err != nil {
				t.Fatal(err)
			}
			var claims struct {
				Org string `json:"org_code"`
			}
			if err := token.Claims(&claims); err != nil || claims.Org != org || token.Issuer != issuer {
				t.Errorf("got issuer %s, organization %s, %v, want %s, %s", token.Issuer, claims.Org, err, issuer, org)
			}
			raw, err := w.provider.Sign(w.provider.Claims(client, []string{"https://api.example.com"}, nil))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verifier.Verify(ctx, raw); err == nil {
				t.Error("the provider's own token verifies")
			}
		})
	}
}

func TestIssuersMetadata(t *testing.T) {
	w, c := issuerWorld(t, "/a")
	base := w.gateway.TLSURL()
	for _, path := range []string{"/.well-known/oauth-authorization-server/a", "/a/.well-known/openid-configuration", "/.well-known/openid-configuration/a"} {
		a := w.get(c, base+path)
		var document map[string]any
		if err := json.Unmarshal(a.body, &document); err != nil {
			t.Fatalf("%s: %v", a.body, err)
		}
		for name, want := range map[string]string{
			"issuer": base + "/a", "token_endpoint": base + "/oauth2/token", "jwks_uri": base + "/m2m/jwks.json",
			"grant_types_supported":                 "[client_credentials]",
			"token_endpoint_auth_methods_supported": "[client_secret_basic client_secret_post]",
			"response_types_supported":              "[]",
		} {
			if got := fmt.Sprint(document[name]); got != want {
				t.Errorf("%s: %s = %s, want %s", path, name, got, want)
			}
		}
		if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "public, max-age=300" ||
			a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("ETag") == "" {
			t.Errorf("%s: headers %v", path, a.Header)
		}
	}
	w.provider.Close()
	if a := w.get(c, base+"/a/.well-known/openid-configuration"); a.StatusCode != 200 {
		t.Errorf("the cached metadata: got status %d, want 200", a.StatusCode)
	}
	if a := w.get(c, base+"/.well-known/openid-configuration"); a.StatusCode != 405 {
		t.Errorf("metadata of another issuer: got status %d, want 405", a.StatusCode)
	}
}

// TestNoMetadataWithoutAnIssuer: the gateway doesn't speak for the provider.
func TestNoMetadataWithoutAnIssuer(t *testing.T) {
	w := build(t, nil)
	w.paths = []any{"~/oauth2/token$", "~/m2m/jwks[.]json$", "~/.*[.]well-known/.*$"}
	w.start()
	if a := w.get(http.DefaultClient, w.gateway.URL()+"/.well-known/openid-configuration"); a.StatusCode != 405 {
		t.Errorf("got status %d, want 405", a.StatusCode)
	}
}
