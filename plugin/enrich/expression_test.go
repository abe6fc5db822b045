package enrich

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
)

// expr is a claim that an expression computes.
func expr(source string, pairs ...string) []any {
	claim := map[string]any{"name": "c", "expr": source}
	for i := 0; i < len(pairs); i += 2 {
		claim[pairs[i]] = pairs[i+1]
	}
	return []any{claim}
}

// TestExpression: an expression sees the records, the token and the event of its
// exchange. A default stands in for what is missing, and for no other failure.
func TestExpression(t *testing.T) {
	for _, tt := range []struct {
		name   string
		claims []any
		want   string // the claim
		cause  string // instead, of missing_property
	}{
		{name: "a property", claims: expr(`organization.plan == "gold" ? "priority" : "standard"`), want: `"priority"`},
		{name: "several records", claims: expr(`application.region + "/" + user.email`), want: `"eu/ops@acme.example"`},
		{name: "the whole record", claims: expr(`organization`, "type", "json"),
			want: `{"code":"` + testOrg + `","is_suspended":"false","name":"Acme Inc","plan":"gold"}`},
		{name: "the token", claims: expr(`token.iat + 1`, "type", "number"), want: fmt.Sprint(testNow.Unix() + 1)},
		{name: "the event", claims: expr(`[event.request.auth.audience[0], event.request.auth.scope[0], event.request.ip, event.context.domains.kindeDomain, event.context.application.clientId, event.context.workflow.trigger]`, "type", "strings"),
			want: `["https://api.example.com","read","192.0.2.7","` + testIssuer + `","` + testClient + `","m2m:token_generation"]`},
		{name: "missing", claims: expr(`organization.tier`), cause: `claim "c": expr needs organization.tier at 1:13, which is missing`},
		{name: "missing with a default", claims: expr(`organization.tier`, "default", "none"), want: `"none"`},
		{name: "a missing key with a default", claims: expr(`{"silver": 1}[organization.plan]`, "type", "number", "default", "0"), want: `0`},
		{name: "failed despite a default", claims: expr(`int(organization.plan)`, "type", "number", "default", "0"), cause: `claim "c": expr failed at 1:4`},
		{name: "of another type", claims: expr(`token.iat`, "default", "none"), cause: `claim "c": the result of expr is not of type string`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.exchange.IP = "192.0.2.7"
			f.set("", "claims", tt.claims)
			if tt.want == "" {
				if r := f.want(MissingProperty); r.Cause.Error() != tt.cause {
					t.Errorf("cause: got %v, want %s", r.Cause, tt.cause)
				}
				return
			}
			if got := f.enriched(); !strings.HasSuffix(got, `,"c":`+tt.want+`}`) {
				t.Errorf("got %s, want the claim %s", got, tt.want)
			}
		})
	}
}

// TestExpressionRecords: an expression needs the records that it reads, as other
// claims do, and no other.
func TestExpressionRecords(t *testing.T) {
	for _, tt := range []struct {
		name, source string
		records      memory // instead of the fixture's
		want         Outcome
	}{
		{"the organization isn't known", `organization.plan`, memory{"org:" + testOrg: nil}, UnknownOrganization},
		{"the organization is suspended", `organization.plan`, memory{"org:" + testOrg: schema.Record{"plan": "gold", "is_suspended": "true"}}, SuspendedOrganization},
		{"the organization is unavailable", `organization.plan`, memory{"org:" + testOrg: schema.ErrUnavailable}, LookupUnavailable},
		{"a fallback doesn't make up for it", `has(organization.plan) ? "a" : "b"`, memory{"org:" + testOrg: schema.ErrUnavailable}, LookupUnavailable},
		{"the organization isn't read", `application.region`, memory{"org:" + testOrg: nil}, Enriched},
		{"no organization, and none is needed", `has(organization.plan) ? "a" : "b"`, memory{"app:" + testClient: schema.Record{"region": "eu"}}, Enriched},
		{"no organization", `organization.plan`, memory{"app:" + testClient: schema.Record{"region": "eu"}}, MissingProperty},
		{"the user is read as a whole", `size(user) > 0 ? "a" : "b"`, memory{"user:" + testUser: nil}, UnknownUser},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.set("", "claims", expr(tt.source))
			for key, record := range tt.records {
				f.records[key] = record
			}
			f.want(tt.want)
		})
	}
}

// TestExpressionDeadline: no expression begins after the deadline.
func TestExpressionDeadline(t *testing.T) {
	f := newFixture(t)
	f.set("", "claims", expr(`"fixed"`))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := f.run(ctx); r.Outcome != InternalError || !errors.Is(r.Cause, context.Canceled) {
		t.Errorf("got %s, %v, want internal_error and the reason", r.Outcome, r.Cause)
	}
}

// TestComplete: every error of every expression has the path of its field, and what
// the expressions read are sources of the configuration.
func TestComplete(t *testing.T) {
	f := newFixture(t)
	f.set("", "claims", []any{
		map[string]any{"name": "a", "expr": `organization.plan + has(user.email) + tokn.x`},
		map[string]any{"name": "b", "expr": `1`},
		map[string]any{"name": "d", "expr": `organization.seats`, "default": "many", "type": "number"},
	})
	cfg := f.parsed()
	var got []string
	for _, err := range schema.Split(Complete(cfg)) {
		got = append(got, err.Error())
	}
	want := []string{
		`config.claims[0].expr: 1:19: found no matching overload for '+' applied to '(string, bool)'`,
		`config.claims[0].expr: 1:39: undeclared reference to 'tokn' (did you mean 'token'?)`,
		`config.claims[1].expr: gives int, but type is string; set type: number`,
		`config.claims[2].expr: gives string, but type is number; set type: string`,
		`config.claims[2].default: not of type number`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	f.set("", "claims", append(expr(`organization.plan + application.region`), expr(`token.ctx.a + user[application.key]`)[0]))
	f.config["claims"].([]any)[1].(map[string]any)["name"] = "e"
	cfg = f.parsed()
	if _, err := New(cfg, Dependencies{}); err == nil {
		t.Error("New accepts a configuration that doesn't know what its expressions read")
	}
	if cfg.Uses(schema.User) {
		t.Error("a source is known before Complete")
	}
	must(t, Complete(cfg))
	sources := cfg.Sources()
	for _, want := range []string{"organization.plan", "application.region", "application.key", "token.ctx.a", "user"} {
		if !slices.Contains(sources, want) {
			t.Errorf("sources: got %q, want %s among them", sources, want)
		}
	}
	names := schema.NamesOf(cfg)
	if !cfg.Uses(schema.User) || !names.All(schema.User) || names.All(schema.Organization) || !slices.Contains(names[schema.Organization], "plan") {
		t.Errorf("names: got %v, want all of users and the plan of organizations", names)
	}
}
