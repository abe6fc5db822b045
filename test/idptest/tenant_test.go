package idptest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

func startTenant(t *testing.T) *Tenant {
	t.Helper()
	tenant, err := StartTenant()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tenant.Close)
	tenant.Add("m2m", "s3cret")
	return tenant
}

// token gets a token for audience.
func token(t *testing.T, tenant *Tenant, audience string) string {
	t.Helper()
	resp, err := http.PostForm(tenant.URL()+"/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"m2m"}, "client_secret": {"s3cret"}, "audience": {audience},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.AccessToken == "" {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	return body.AccessToken
}

// get asks the tenant for path and returns the status, the headers and the body.
func get(t *testing.T, tenant *Tenant, path, token string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tenant.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func TestTenantAnswers(t *testing.T) {
	tenant := startTenant(t)
	tenant.SetOrganization(Organization{Code: "org_a", Name: "Acme", Properties: map[string]any{"plan": "gold", "seats": nil}})
	good, foreign := token(t, tenant, tenant.ManagementAudience()), token(t, tenant, "https://api.example")
	for name, c := range map[string]struct {
		path, token string
		status      int
		says        string
	}{
		"an organization":           {"/api/v1/organization?code=org_a", good, 200, `"handle":null`},
		"its properties":            {"/api/v1/organizations/org_a/properties", good, 200, `"value":null`},
		"no such organization":      {"/api/v1/organization?code=org_b", good, 404, `"errors":{"code":"NOT_FOUND"`},
		"the largest page":          {"/api/v1/applications?page_size=500", good, 200, `"applications":[]`},
		"a page too large":          {"/api/v1/applications?page_size=501", good, 400, "PAGE_SIZE_INVALID"},
		"a next_token of its own":   {"/api/v1/applications?next_token=%21", good, 400, "NEXT_TOKEN_INVALID"},
		"a token for another":       {"/api/v1/applications", foreign, 401, "TOKEN_INVALID"},
		"a token that isn't signed": {"/api/v1/applications", good[:strings.LastIndex(good, ".")+1], 401, "TOKEN_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, body := get(t, tenant, c.path, c.token)
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("got %d %s, want %d and %q", status, body, c.status, c.says)
			}
		})
	}
}

func TestTenantRevokesTokens(t *testing.T) {
	tenant := startTenant(t)
	used := token(t, tenant, tenant.ManagementAudience())
	for _, want := range []int{200, 401} {
		if status, _, body := get(t, tenant, "/api/v1/applications", used); status != want {
			t.Errorf("got %d %s, want %d", status, body, want)
		}
		tenant.RevokeTokens()
	}
}

func TestTenantLimitsTheRate(t *testing.T) {
	tenant := startTenant(t)
	good := token(t, tenant, tenant.ManagementAudience())
	tenant.LimitRate(2, time.Minute)
	for i, want := range []int{200, 200, 429, 200} {
		if i == 3 {
			tenant.NextWindow()
		}
		status, header, _ := get(t, tenant, "/api/v1/applications", good)
		if status != want || header.Get("RateLimit-Limit") != "2" || header.Get("RateLimit-Reset") == "" {
			t.Errorf("call %d: got %d, %v", i, status, header)
		}
	}
}

// TestWebhook: the key that the tenant publishes verifies a webhook.
func TestWebhook(t *testing.T) {
	tenant := startTenant(t)
	_, _, text := get(t, tenant, "/.well-known/jwks", "")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		t.Fatal(err)
	}
	body := tenant.Webhook("organization.updated", map[string]any{"organization": map[string]any{"code": "org_a"}})
	claims := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(body, claims, func(token *jwt.Token) (any, error) {
		return set.Key(token.Header["kid"].(string))[0].Key, nil
	}, jwt.WithValidMethods([]string{"RS256"}))
	if err != nil || parsed.Header["typ"] != "JWT" {
		t.Fatalf("%v, %v", parsed, err)
	}
	data := claims["data"].(map[string]any)["organization"].(map[string]any)
	if claims["type"] != "organization.updated" || data["code"] != "org_a" || !strings.HasPrefix(claims["event_id"].(string), "event_") {
		t.Errorf("got %v", claims)
	}
}
