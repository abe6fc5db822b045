package jws

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	openID    = "/.well-known/openid-configuration"
	oauth     = "/.well-known/oauth-authorization-server"
	published = "/keys"
)

// paths answers at each path with its text, or with 404. In a text, ISSUER stands
// for the server's URL. asked are the requested paths in order.
type paths struct {
	*idp
	texts map[string]string

	mu    sync.Mutex
	asked []string
}

func newPaths(t *testing.T, texts map[string]string) *paths {
	p := &paths{texts: texts}
	p.idp = newIDP(t, func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.URL.Path)
		p.mu.Unlock()
		text, ok := p.texts[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, strings.ReplaceAll(text, "ISSUER", p.URL))
	})
	return p
}

func (p *paths) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func TestDiscovery(t *testing.T) {
	keys := set(t, public("k1", rsaKey()))
	tests := []struct {
		name, path string // of the issuer
		texts      map[string]string
		asked      []string
	}{
		{"OpenID Connect", "", map[string]string{
			openID: `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`,
		}, []string{openID, published}},
		{"OpenID Connect with a byte order mark", "", map[string]string{
			openID: "\ufeff" + `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`,
		}, []string{openID, published}},
		{"OpenID Connect, issuer with a slash", "/", map[string]string{
			openID: `{"issuer":"ISSUER/","jwks_uri":"ISSUER/keys"}`,
		}, []string{openID, published}},
		{"OpenID Connect, issuer with a path", "/realms/m2m", map[string]string{
			"/realms/m2m" + openID: `{"issuer":"ISSUER/realms/m2m","jwks_uri":"ISSUER/keys"}`,
		}, []string{"/realms/m2m" + openID, published}},
		{"RFC 8414", "", map[string]string{
			oauth: `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`,
		}, []string{openID, oauth, published}},
		{"RFC 8414, issuer with a path", "/realms/m2m", map[string]string{
			oauth + "/realms/m2m": `{"issuer":"ISSUER/realms/m2m","jwks_uri":"ISSUER/keys"}`,
		}, []string{"/realms/m2m" + openID, oauth + "/realms/m2m", published}},
		{"RFC 8414, issuer with a path and a slash", "/tenant/", map[string]string{
			oauth + "/tenant": `{"issuer":"ISSUER/tenant/","jwks_uri":"ISSUER/keys"}`,
		}, []string{"/tenant" + openID, oauth + "/tenant", published}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.texts[published] = keys
			s := newPaths(t, tt.texts)
			wantKeys(t, provide(t, s.URL+tt.path, "", newClock().Now), "k1")
			if got := s.requests(); !slices.Equal(got, tt.asked) {
				t.Errorf("the provider was asked for %q, want %q", got, tt.asked)
			}
		})
	}
}

func TestDiscoveryRefuses(t *testing.T) {
	tests := []struct {
		name, metadata string
		parts          []string // of the error
	}{
		{"another issuer", `{"issuer":"https://other.example","jwks_uri":"ISSUER/keys"}`, []string{"ISSUER", "https://other.example"}},
		{"issuer with a slash", `{"issuer":"ISSUER/","jwks_uri":"ISSUER/keys"}`, []string{`"ISSUER/"`}},
		{"no issuer", `{"jwks_uri":"ISSUER/keys"}`, []string{`""`}},
		{"no jwks_uri", `{"issuer":"ISSUER"}`, []string{"jwks_uri"}},
		{"plain http", `{"issuer":"ISSUER","jwks_uri":"http://keys.example/jwks"}`, []string{"http://keys.example/jwks"}},
		{"plain http to another address", `{"issuer":"ISSUER","jwks_uri":"http://169.254.169.254/latest"}`, []string{"169.254.169.254"}},
		{"host that begins as loopback", `{"issuer":"ISSUER","jwks_uri":"http://127.0.0.1.example/"}`, []string{"jwks_uri"}},
		{"a file", `{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}`, []string{"jwks_uri"}},
		{"a path", `{"issuer":"ISSUER","jwks_uri":"/keys"}`, []string{"jwks_uri"}},
		{"a user", `{"issuer":"ISSUER","jwks_uri":"https://u:p@keys.example/"}`, []string{"jwks_uri"}},
		{"not JSON", `<html>`, []string{"ISSUER"}},
		{"too large", `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}` + strings.Repeat(" ", maxAnswer), []string{"ISSUER" + openID}},
		{"neither document", "", []string{"ISSUER" + openID, "ISSUER" + oauth}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			texts := map[string]string{published: set(t, public("k1", rsaKey()))}
			if tt.metadata != "" {
				texts[openID] = tt.metadata
			}
			s := newPaths(t, texts)
			for i, part := range tt.parts {
				tt.parts[i] = strings.ReplaceAll(part, "ISSUER", s.URL)
			}
			wantUnavailable(t, provide(t, s.URL, "", newClock().Now), tt.parts...)
			if slices.Contains(s.requests(), published) {
				t.Error("the keys were asked for, want no request")
			}
		})
	}
}

// TestDiscoveryLeadsNoStrangerInside: the document of an issuer elsewhere
// doesn't choose what the gateway asks on its own host.
func TestDiscoveryLeadsNoStrangerInside(t *testing.T) {
	const issuer = "https://example.kinde.com"
	for _, uri := range []string{"http://localhost:8001/config", "https://localhost:8444/config", "http://127.0.0.1:8001/"} {
		text := fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q}`, issuer, uri)
		if _, err := parseMetadata(text, issuer); err == nil || !strings.Contains(err.Error(), "jwks_uri") {
			t.Errorf("parseMetadata with %s = %v, want an error about jwks_uri", uri, err)
		}
	}
}
