package enrich

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
)

// TestRelationFromToken: the first source that has a value names the organization
// and the user.
func TestRelationFromToken(t *testing.T) {
	acme := schema.Record{"code": "org_t", "name": "Token Inc"}
	for _, tt := range []struct {
		name, claims string
		application  schema.Record
		from         []any // nil: the default
		want         string
	}{
		{"by default if the application names none", `,"org_code":"org_t"`, schema.Record{"region": "eu"}, nil, "Token Inc"},
		{"the application's property comes first", `,"org_code":"` + testOrg + `"`, schema.Record{"org_code": testOrg}, nil, "Acme Inc"},
		{"the token first", `,"tenant":"org_t"`, schema.Record{"org_code": testOrg}, []any{"token.tenant", "application.org_code"}, "Token Inc"},
		{"blank claims are missing", `,"a":null,"b":"","c":"org_t"`, schema.Record{"region": "eu"}, []any{"token.a", "token.b", "application.x", "token.c"}, "Token Inc"},
		{"nested", `,"ctx":{"org":{"id":"org_t"}}`, schema.Record{"region": "eu"}, []any{"token.ctx.org.id"}, "Token Inc"},
		{"a name with dots", `,"https://a.example/org":"org_t","https://a":{"example/org":"x"}`, schema.Record{"region": "eu"}, []any{"token.https://a.example/org"}, "Token Inc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.set("", "claims", []any{map[string]any{"name": "org_name", "from": "organization.name"}})
			f.records["app:"+testClient], f.records["org:org_t"] = tt.application, acme
			if tt.from != nil {
				f.set("organization", "from", tt.from)
			}
			f.answer(goodHeader, goodPayload(tt.claims))
			if got, want := f.enriched(), fmt.Sprintf(`"org_name":%q}`, tt.want); !strings.HasSuffix(got, want) {
				t.Errorf("got %s, want …%s", got, want)
			}
		})
	}
	f := newFixture(t)
	f.set("user", "from", []any{"application.user_id", "token.sub"})
	f.set("", "claims", []any{map[string]any{"name": "email", "from": "user.email"}})
	f.records["app:"+testClient] = schema.Record{"region": "eu"}
	f.answer(goodHeader, goodPayload(`,"sub":"`+testUser+`"`))
	if got, want := f.enriched(), `"email":"ops@acme.example"}`; !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want …%s", got, want)
	}
}

// TestClaimFromToken: a claim of the token keeps its bytes, and must be of the
// claim's type.
func TestClaimFromToken(t *testing.T) {
	const claims = `,"s":"a\u00e9","n":1.10e1,"b":true,"l":["x" ,"y"],"none":[],"mixed":["x",1],"o":{"i": {"n":2}},"null":null,"empty":""`
	for _, tt := range []struct{ path, typ, fallback, want string }{ // no want: missing_property
		{"s", "string", "", `"a\u00e9"`},
		{"n", "number", "", `1.10e1`},
		{"b", "boolean", "", `true`},
		{"l", "strings", "", `["x" ,"y"]`},
		{"none", "strings", "", `[]`},
		{"o", "json", "", `{"i": {"n":2}}`},
		{"s", "json", "", `"a\u00e9"`},
		{"o.i.n", "number", "", `2`},
		{"n", "string", "", ""},
		{"s", "number", "", ""},
		{"s", "boolean", "", ""},
		{"s", "strings", "", ""},
		{"mixed", "strings", "", ""},
		{"o", "string", "d", ""},
		{"x", "string", "", ""},
		{"x", "string", "d", `"d"`},
		{"null", "json", "", ""},
		{"null", "string", "d", `"d"`},
		{"empty", "string", "d", `"d"`},
		{"S", "string", "d", `"d"`},
	} {
		t.Run(tt.path+" as "+tt.typ, func(t *testing.T) {
			f := newFixture(t)
			claim := map[string]any{"name": "copy", "from": "token." + tt.path, "type": tt.typ}
			if tt.fallback != "" {
				claim["default"] = tt.fallback
			}
			f.set("", "claims", []any{claim})
			f.answer(goodHeader, goodPayload(claims))
			if tt.want == "" {
				f.want(MissingProperty)
			} else if got := f.enriched(); !strings.HasSuffix(got, `,"copy":`+tt.want+`}`) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// counted counts lookups.
type counted struct {
	Records
	lookups int
}

func (c *counted) Record(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	c.lookups++
	return c.Records.Record(ctx, kind, id)
}

// TestSourcesCostNoLookup: whoever names the organization, it is looked up once and
// only if a claim needs it.
func TestSourcesCostNoLookup(t *testing.T) {
	for from, want := range map[string]int{"organization.name": 2, "token.org_code": 1, "application.region": 1} {
		f := newFixture(t)
		f.records["app:"+testClient] = schema.Record{"region": "eu"}
		f.claims["org_code"] = testOrg
		f.set("", "claims", []any{map[string]any{"name": "c", "from": from}})
		records := &counted{Records: f.records}
		e := f.enricher()
		deps := e.deps
		deps.Records = records
		if r := e.With(deps).Enrich(context.Background(), f.complete()); r.Outcome != Enriched || records.lookups != want {
			t.Errorf("%s: outcome %s with %d lookups, want enriched with %d", from, r.Outcome, records.lookups, want)
		}
	}
}
