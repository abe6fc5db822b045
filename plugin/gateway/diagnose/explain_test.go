package diagnose

import (
	"context"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/redistest"
)

// explained is a configuration whose records are in server.
func explained(t *testing.T, server *redistest.Server, changes map[string]any) *schema.Config {
	t.Helper()
	given := map[string]any{
		"issuer": "https://example.kinde.com", "signing": map[string]any{"jwks_file": "/nonexistent/keys.json"},
		"redis": map[string]any{"host": "127.0.0.1", "port": float64(server.Port())},
		"claims": []any{
			map[string]any{"name": "org_code", "from": "organization.code"},
			map[string]any{"name": "plan", "from": "organization.plan", "default": "free"},
			map[string]any{"name": "region", "from": "application.region"},
		},
	}
	for name, value := range changes {
		given[name] = value
	}
	cfg, err := schema.Parse(given)
	if err != nil {
		t.Fatal(err)
	}
	for key, properties := range map[string][]string{
		"app:good":       {"org_code", "org_a", "region", "eu"},
		"app:suspended":  {"org_code", "org_s", "region", "eu"},
		"app:incomplete": {"org_code", "org_a"},
		"org:org_a":      {"code", "org_a"},
		"org:org_s":      {"code", "org_s", "is_suspended", "true"},
	} {
		if err := server.Client().HSet(t.Context(), "m2m:example.kinde.com:"+key, properties).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

func TestExplain(t *testing.T) {
	server := redistest.Start(t)
	cfg := explained(t, server, nil)
	nested := explained(t, server, map[string]any{"client_id_claim": []any{"client", "id"}, "mode": "observe", "algorithms": []any{"ES256"}})
	for _, tt := range []struct {
		client, outcome, cause string
		cfg                    *schema.Config
		audience               []string
	}{
		{"good", "enriched", "", cfg, nil},
		{"good", "enriched", "", nested, []string{"https://api.example.com"}},
		{"good", "management_audience", "", cfg, []string{"https://example.kinde.com/api"}},
		{"nobody", "unknown_application", "app:nobody", cfg, nil},
		{"suspended", "suspended_organization", "org_s", cfg, nil},
		{"incomplete", "missing_property", "application.region", cfg, nil},
	} {
		x, err := Explain(t.Context(), tt.cfg, tt.client, tt.audience)
		if err != nil {
			t.Fatal(err)
		}
		if x.Outcome != tt.outcome || !strings.Contains(x.Cause, tt.cause) || x.ClientID != tt.client {
			t.Errorf("%s: got %+v, want %s because of %q", tt.client, x, tt.outcome, tt.cause)
		}
		if tt.outcome != "enriched" {
			continue
		}
		if !slices.Equal(x.Added, []string{"org_code", "plan", "region"}) || string(x.Claims["plan"]) != `"free"` {
			t.Errorf("got %v added and claims %s, want org_code, plan and region, and the plan free", x.Added, x.Claims)
		}
		if _, read := x.Records[schema.Application]["user_id"]; !read {
			t.Errorf("got %v, want the property that names the user", x.Records)
		}
		if plan, read := x.Records[schema.Organization]["plan"]; !read || plan != nil {
			t.Errorf("got %v, want a plan that is missing", x.Records)
		}
	}
	server.Stop()
	if x, err := Explain(t.Context(), cfg, "good", nil); err != nil || x.Outcome != "lookup_unavailable" {
		t.Errorf("got %+v, %v, want lookup_unavailable", x, err)
	}
}

// TestExplainToken: a real token is verified with the provider's keys.
func TestExplainToken(t *testing.T) {
	server := redistest.Start(t)
	provider, err := idptest.Start("https://example.kinde.com")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.Close)
	cfg := explained(t, server, map[string]any{"jwks_uri": provider.JWKSURI()})
	token, err := provider.Sign(provider.Claims("good", []string{"https://api.example.com"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if x, err := ExplainToken(t.Context(), cfg, token); err != nil || x.Outcome != "enriched" || x.ClientID != "good" {
		t.Errorf("got %+v, %v, want enriched", x, err)
	}
	answer := `{"access_token":"` + token + `","id_token":"a.b.c","refresh_token":null}`
	if x, err := ExplainToken(t.Context(), cfg, answer); err != nil || x.Outcome != "enriched" || !slices.Equal(x.Dropped, []string{"id_token"}) {
		t.Errorf("a whole answer: got %+v, %v, want it enriched without id_token", x, err)
	}
	scoped := *cfg
	scoped.Claims = append(scoped.Claims[:1:1], schema.Claim{Name: "who", From: "token.azp", Type: "string"})
	x, err := ExplainToken(t.Context(), &scoped, token)
	if err != nil || x.Outcome != "enriched" {
		t.Fatalf("got %+v, %v, want enriched", x, err)
	}
	claims := x.Records[schema.Token]
	if org, read := claims["org_code"]; !read || org != nil || claims["azp"] == nil || *claims["azp"] != "good" {
		t.Errorf("got %v, want azp good, and no org_code", claims)
	}
	other, err := idptest.Start("https://example.kinde.com")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	if token, err = other.Sign(other.Claims("good", []string{"https://api.example.com"}, nil)); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{token, "opaque", ""} {
		x, err := ExplainToken(t.Context(), cfg, token)
		if err != nil || x.Outcome == "enriched" || x.Claims != nil {
			t.Errorf("got %+v, %v, want it refused", x, err)
		}
	}
}

// recordsOf are records by their kind and identifier.
type recordsOf map[schema.Kind]map[string]schema.Record

func (r recordsOf) Record(_ context.Context, kind schema.Kind, id string) (schema.Record, error) {
	if record, ok := r[kind][id]; ok {
		return record, nil
	}
	return nil, schema.ErrNoRecord
}

// TestExplainEvent: the token says what the event says, and given records take the
// place of Redis.
func TestExplainEvent(t *testing.T) {
	cfg, err := schema.Parse(map[string]any{
		"issuer": "https://example.kinde.com", "redis": map[string]any{"host": "127.0.0.1", "port": 1.0}, "signing": map[string]any{"jwks_file": "none"},
		"claims": []any{map[string]any{"name": "org_name", "from": "organization.name"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	event := enrich.Event{ClientID: "app_1", Audience: []string{"https://api.example.com"}, Scope: []string{"read", "write"}}
	given := recordsOf{schema.Application: {"app_1": {"org_code": "org_1"}}, schema.Organization: {"org_1": {"name": "Acme Inc"}}}
	x, err := ExplainEvent(t.Context(), cfg, event, given)
	if err != nil || x.Outcome != "enriched" || x.ClientID != "app_1" {
		t.Fatalf("got %+v, %v, want app_1 enriched", x, err)
	}
	if got, want := string(x.Claims["aud"])+string(x.Claims["scp"])+string(x.Claims["org_name"]), `["https://api.example.com"]["read","write"]"Acme Inc"`; got != want {
		t.Errorf("got the claims %s, want %s", got, want)
	}
	if want := []Lookup{{schema.Application, "app_1"}, {schema.Organization, "org_1"}}; !slices.Equal(x.Read, want) {
		t.Errorf("got the lookups %v, want %v", x.Read, want)
	}
}
