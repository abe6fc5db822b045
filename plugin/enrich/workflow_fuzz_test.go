package enrich

import (
	"context"
	"testing"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
)

// FuzzWorkflowClaims: whatever a workflow sets, the token has either that very value
// under a name that may be set, beside the provider's own claims as they were, or
// there is no token.
func FuzzWorkflowClaims(f *testing.F) {
	for _, seed := range [][3]string{
		{"tier", `"gold"`, "seats"}, {"org_name", `"Acme Inc"`, "x"}, {"sub", `1`, "aud"}, {"plan", `{"a":[1.0,null]}`, "Plan"}, {"a\"", ` 1 `, "a"},
		{"tier", `1,"sub":"x"`, "exp"}, {"tier", `{"a":1,"a":2}`, "tier"}, {"scp", `["read"]`, "__proto__"}, {"n", "\"\xff\"", "n\x00"}, {"a", ` "x"`, "b"}, {"tier", ``, ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	fx := newFixture(f)
	e := fx.enricher()
	x := fx.complete()
	before, err := jws.UnverifiedClaims(fx.token)
	must(f, err)
	f.Fuzz(func(t *testing.T, name, value, other string) {
		deps := e.deps
		deps.Workflow = setting(name, value, other, `true`)
		r := e.With(deps).Enrich(context.Background(), x)
		if r.Outcome != Enriched {
			if r.Body != nil {
				t.Fatalf("outcome %s with a token", r.Outcome)
			}
			return
		}
		after, err := splice.Parse([]byte(payload(t, fx.ring, accessToken(t, r))))
		must(t, err)
		for name, value := range map[string]string{name: value, other: "true"} {
			if got := after.Get(name); got == nil || !same(got, []byte(value)) {
				t.Errorf("the claim %q is %s, want %s", name, got, value)
			}
			if err := e.cfg.CheckClaim(name); err != nil {
				t.Errorf("signed although %v", err)
			}
		}
		for i, claim := range before.Members() {
			if got := after.Members()[i]; got.Name != claim.Name || string(got.Value) != string(claim.Value) {
				t.Errorf("the provider's claim %q became %q: %s", claim.Name, got.Name, got.Value)
			}
		}
		if n := len(before.Members()) + 2 + 2; len(after.Members()) > n {
			t.Errorf("%d claims, want at most %d", len(after.Members()), n)
		}
	})
}
