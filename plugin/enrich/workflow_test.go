package enrich

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// code is a workflow for tests.
type code struct {
	run    func(event Event, given []splice.Member, related Related) (claims []splice.Member, printed []string, err error)
	policy string
}

func (c code) Run(_ context.Context, event Event, given []splice.Member, related Related) ([]splice.Member, []string, error) {
	return c.run(event, given, related)
}

func (c code) Policy() string { return c.policy }

// setting returns a workflow that sets claims: a name, a value as JSON, and so on.
func setting(claims ...string) code {
	return code{run: func(Event, []splice.Member, Related) (set []splice.Member, _ []string, _ error) {
		for pair := range slices.Chunk(claims, 2) {
			set = append(set, splice.Member{Name: pair[0], Value: jsontext.Value(pair[1])})
		}
		return set, nil, nil
	}}
}

// throwing returns a workflow that prints a line and throws.
func throwing(text string) code {
	return code{run: func(Event, []splice.Member, Related) ([]splice.Member, []string, error) {
		return nil, []string{"it begins"}, errors.New(text)
	}}
}

// reading returns a workflow that asks for records, and catches what goes wrong.
func reading(kinds ...schema.Kind) code {
	return code{run: func(_ Event, _ []splice.Member, related Related) ([]splice.Member, []string, error) {
		for _, kind := range kinds {
			_, _, _ = related(kind)
		}
		return nil, nil, nil
	}}
}

// TestWorkflowClaims: they follow those that the configuration maps, and a claim that
// is there already with the same value isn't added again.
func TestWorkflowClaims(t *testing.T) {
	f := newFixture(t)
	f.claims["plan"] = "gold"
	f.workflow = code{run: func(event Event, given []splice.Member, related Related) ([]splice.Member, []string, error) {
		names := []string{}
		for _, claim := range given {
			names = append(names, claim.Name+"="+string(claim.Value))
		}
		given[0].Value = jsontext.Value(`"changed"`) // has no effect
		if want := []string{`org_code="` + testOrg + `"`, `org_name="Acme Inc"`}; !slices.Equal(names, want) {
			t.Errorf("given %v, want %v", names, want)
		}
		_, organization, err := related(schema.Organization)
		return []splice.Member{
			{Name: "org_name", Value: jsontext.Value(`"Acme Inc"`)}, {Name: "plan", Value: jsontext.Value(`"` + organization["plan"] + `"`)},
			{Name: "applicationId", Value: jsontext.Value(`"` + event.ClientID + `"`)}, {Name: "limits", Value: jsontext.Value(`{"a":[1.0,null]}`)},
		}, []string{"done"}, err
	}}
	r := f.want(Enriched)
	var answer struct {
		Token string `json:"access_token"`
	}
	must(t, json.Unmarshal(r.Body, &answer))
	want := `"org_code":"` + testOrg + `","org_name":"Acme Inc","applicationId":"` + testClient + `","limits":{"a":[1.0,null]}}`
	if got := payload(t, f.ring, answer.Token); !strings.HasSuffix(got, want) || strings.Count(got, "gold") != 1 {
		t.Errorf("the claims are %s, want …%s", got, want)
	}
	if want := []string{"org_code", "org_name", "applicationId", "limits"}; !slices.Equal(r.Issued().Claims, want) {
		t.Errorf("issued %v, want %v", r.Issued().Claims, want)
	}
	if want := []string{"plan", "applicationId", "limits"}; !slices.Equal(r.Computed, want) {
		t.Errorf("computed %v, want %v", r.Computed, want)
	}
	if !slices.Equal(r.Printed, []string{"done"}) {
		t.Errorf("printed %q, want done", r.Printed)
	}
}

// TestWorkflowEvent: a workflow learns of the verified token and the client.
func TestWorkflowEvent(t *testing.T) {
	for _, tt := range []struct {
		claims string
		want   Event
	}{
		{`,"aud":"a","scope":"read  write"`, Event{Audience: []string{"a"}, Scope: []string{"read", "write"}}},
		{`,"aud":["a","b"],"scp":["read","write"]`, Event{Audience: []string{"a", "b"}, Scope: []string{"read", "write"}}},
		{`,"scp":"read"`, Event{Audience: []string{}, Scope: []string{"read"}}},
		{`,"scope":"","scp":["read"]`, Event{Audience: []string{}, Scope: []string{"read"}}},
		{`,"scope":null,"scp":[]`, Event{Audience: []string{}, Scope: []string{}}},
		{`,"scope":{"a":1}`, Event{Audience: []string{}, Scope: []string{}}},
		{``, Event{Audience: []string{}, Scope: []string{}}},
	} {
		f := newFixture(t)
		f.exchange.IP = "203.0.113.7"
		f.answer(goodHeader, goodPayload(tt.claims))
		var got Event
		f.workflow = code{run: func(event Event, _ []splice.Member, _ Related) ([]splice.Member, []string, error) {
			got = event
			return nil, nil, nil
		}}
		f.want(Enriched)
		want := tt.want
		want.IP, want.Domain, want.ClientID = "203.0.113.7", testIssuer, testClient
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the event is %+v, want %+v", tt.claims, got, want)
		}
	}
}

// TestWorkflowFails: what a workflow may not do fails it, and signs nothing.
func TestWorkflowFails(t *testing.T) {
	many := []string{}
	for i := range schema.MaxClaims + 1 {
		many = append(many, strings.Repeat("c", i+1), "1")
	}
	for _, tt := range []struct {
		name     string
		workflow code
		cause    string
	}{
		{"throws", throwing("no plan"), "no plan"},
		{"reserved", setting("sub", `"x"`), `"sub" is reserved`},
		{"reserved in another case", setting("tier", `1`, "AUD", `"x"`), `"AUD" is reserved`},
		{"authorization", setting("permissions", `[]`), "allow_authorization_claims"},
		{"no name", setting("", `1`), "1 to 256 bytes"},
		{"a name that isn't UTF-8", setting("a\xff", `1`), "1 to 256 bytes"},
		{"mapped to another value", setting("org_name", `"Other"`), `"org_name", which has another value`},
		{"mapped to a value of another type", setting("org_name", `["Acme Inc"]`), `"org_name", which has another value`},
		{"mapped under a name in another case", setting("Org_Name", `"Acme Inc"`), `may be taken for "org_name"`},
		{"twice", setting("tier", `1`, "tier", `2`), `"tier", which has another value`},
		{"twice in another case", setting("tier", `1`, "Tier", `1`), `may be taken for "tier"`},
		{"no value", setting("tier", ``), `"tier" to a value that isn't JSON`},
		{"not JSON", setting("tier", `undefined`), `"tier" to a value that isn't JSON`},
		{"not JSON behind JSON", setting("tier", `1,"sub":"x"`), `"tier" to a value that isn't JSON`},
		{"two members of one name", setting("tier", `{"a":1,"a":2}`), `"tier" to a value that isn't JSON`},
		{"not UTF-8", setting("tier", "\"\xff\""), `"tier" to a value that isn't JSON`},
		{"too many", setting(many...), "more than 100"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.workflow = tt.workflow
			if r := f.want(WorkflowFailed); !strings.Contains(r.Cause.Error(), tt.cause) || r.Body != nil {
				t.Errorf("cause %v, a body: %v, want %q without a body", r.Cause, r.Body != nil, tt.cause)
			}
		})
	}
}

// TestWorkflowPolicy: the workflow's own failure policy goes before the
// configuration's, for its failures alone.
func TestWorkflowPolicy(t *testing.T) {
	for _, tt := range []struct {
		own, configured string
		want            Action
	}{
		{"", "stop", Refuse}, {"", "continue", Pass}, {"stop", "continue", Refuse}, {"continue", "stop", Pass},
	} {
		f := newFixture(t)
		f.set("", "failure_policy", tt.configured)
		failing := throwing("no plan")
		failing.policy = tt.own
		f.workflow = failing
		if r := f.want(WorkflowFailed); r.Action != tt.want || !slices.Equal(r.Printed, []string{"it begins"}) {
			t.Errorf("own policy %q, configured %q: action %s, printed %q, want %s and what was printed", tt.own, tt.configured, r.Action, r.Printed, tt.want)
		}
	}
	f := newFixture(t)
	f.records["org:"+testOrg] = schema.Record{"code": testOrg, "is_suspended": "true"}
	f.set("", "claims", []any{map[string]any{"name": "region", "from": "application.region"}})
	lenient := reading(schema.Organization)
	lenient.policy = schema.PolicyContinue
	f.workflow = lenient
	if r := f.want(SuspendedOrganization); r.Action != Refuse {
		t.Errorf("action %s for a suspended organization, want refuse", r.Action)
	}
}

// TestWorkflowLookupEnds: a lookup that ends an exchange of the mapping ends it here,
// too, even if the workflow catches the error and reads on.
func TestWorkflowLookupEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*fixture)
		reads []schema.Kind
		want  Outcome
	}{
		{"no organization record", func(f *fixture) { delete(f.records, "org:"+testOrg) }, []schema.Kind{schema.Organization}, UnknownOrganization},
		{"the first counts", func(f *fixture) {
			f.records["org:"+testOrg] = schema.ErrUnavailable
			delete(f.records, "user:"+testUser)
		}, []schema.Kind{schema.Organization, schema.User}, LookupUnavailable},
		{"no user record", func(f *fixture) { delete(f.records, "user:"+testUser) }, []schema.Kind{schema.Application, schema.User}, UnknownUser},
		{"suspended", func(f *fixture) {
			f.records["org:"+testOrg] = schema.Record{"code": testOrg, "is_suspended": "true"}
		}, []schema.Kind{schema.Organization}, SuspendedOrganization},
		{"suspended, from an old record", func(f *fixture) {
			f.records["org:"+testOrg] = outdated{"code": testOrg, "is_suspended": "true"}
		}, []schema.Kind{schema.Organization}, SuspendedOrganization},
		{"another code", func(f *fixture) { f.records["org:"+testOrg] = schema.Record{"code": "org_other"} }, []schema.Kind{schema.Organization}, InvalidRecord},
		{"another id", func(f *fixture) { f.records["user:"+testUser] = schema.Record{"id": "kp_other"} }, []schema.Kind{schema.User}, InvalidRecord},
		{"not a hash", func(f *fixture) { f.records["org:"+testOrg] = schema.ErrInvalidRecord }, []schema.Kind{schema.Organization}, InvalidRecord},
		{"an identifier that can't be a key", func(f *fixture) {
			f.records["app:"+testClient] = schema.Record{"org_code": "org_ä"}
		}, []schema.Kind{schema.Organization}, InvalidRecord},
		{"a claim that is no identifier", func(f *fixture) {
			f.records["app:"+testClient], f.claims["org_code"] = schema.Record{"region": "eu"}, 1
			f.set("organization", "token_claim", []any{})
		}, []schema.Kind{schema.Organization}, InvalidRecord},
		{"too old", func(f *fixture) { f.records["org:"+testOrg] = outdated{"code": testOrg} }, []schema.Kind{schema.Organization}, LookupUnavailable},
		{"silent", func(f *fixture) { f.records["user:"+testUser] = schema.ErrUnavailable }, []schema.Kind{schema.User}, LookupUnavailable},
		{"nobody asks", func(f *fixture) { f.records["org:"+testOrg] = schema.ErrUnavailable }, []schema.Kind{schema.Application, schema.User}, Enriched},
		{"nothing names one", func(f *fixture) { f.records["app:"+testClient] = schema.Record{"region": "eu"} }, []schema.Kind{schema.Organization, schema.User}, Enriched},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.set("", "claims", []any{map[string]any{"name": "fixed", "value": "x"}})
			tt.spoil(f)
			f.workflow = reading(tt.reads...)
			f.want(tt.want)
		})
	}
}

// TestWorkflowSharesLookups: one exchange looks no record up twice, whoever needs it.
func TestWorkflowSharesLookups(t *testing.T) {
	all := []schema.Kind{schema.Application, schema.Organization, schema.User, schema.Organization, schema.User}
	for from, want := range map[string]int{"organization.name": 3, "user.email": 3, "application.region": 3} {
		f := newFixture(t)
		f.set("", "claims", []any{map[string]any{"name": "c", "from": from}})
		ids := []string{}
		f.workflow = code{run: func(_ Event, _ []splice.Member, related Related) ([]splice.Member, []string, error) {
			for _, kind := range all {
				id, record, err := related(kind)
				must(t, err)
				if len(record) == 0 {
					t.Errorf("no record of the %s", kind)
				}
				ids = append(ids, id)
			}
			return nil, nil, nil
		}}
		records := &counted{Records: f.records}
		e := f.enricher()
		deps := e.deps
		deps.Records = records
		if r := e.With(deps).Enrich(context.Background(), f.complete()); r.Outcome != Enriched || records.lookups != want {
			t.Errorf("%s: outcome %s with %d lookups, want enriched with %d: %v", from, r.Outcome, records.lookups, want, r.Cause)
		}
		if want := []string{testClient, testOrg, testUser, testOrg, testUser}; !slices.Equal(ids, want) {
			t.Errorf("%s: the identifiers are %v, want %v", from, ids, want)
		}
	}
}

// TestWorkflowNotRun: an exchange that is decided without a workflow costs none.
func TestWorkflowNotRun(t *testing.T) {
	for name, spoil := range map[string]func(*fixture){
		"management":  func(f *fixture) { f.claims["aud"] = testManagement },
		"missing":     func(f *fixture) { f.records["org:"+testOrg] = schema.Record{"code": testOrg} },
		"conflict":    func(f *fixture) { f.claims["org_name"] = "Other" },
		"unavailable": func(f *fixture) { f.records["org:"+testOrg] = schema.ErrUnavailable },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			spoil(f)
			f.workflow = code{run: func(Event, []splice.Member, Related) ([]splice.Member, []string, error) {
				t.Error("the workflow ran")
				return nil, nil, nil
			}}
			if r := f.run(t.Context()); r.Outcome == Enriched || r.Outcome == WorkflowFailed {
				t.Errorf("outcome %s", r.Outcome)
			}
		})
	}
	f := newFixture(t)
	f.workflow = throwing("it ran")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := f.run(ctx); r.Outcome != InternalError {
		t.Errorf("outcome %s after the deadline, want %s", r.Outcome, InternalError)
	}
}

// TestWorkflowPrintsLittle: what is kept of a flood is bounded.
func TestWorkflowPrintsLittle(t *testing.T) {
	f := newFixture(t)
	f.workflow = code{run: func(Event, []splice.Member, Related) ([]splice.Member, []string, error) {
		return nil, slices.Repeat([]string{strings.Repeat("x", MaxPrintedLine+1)}, MaxPrinted+1), nil
	}}
	if r := f.want(Enriched); len(r.Printed) != MaxPrinted || len(r.Printed[0]) != MaxPrintedLine {
		t.Errorf("%d lines, the first of %d bytes, want %d and %d", len(r.Printed), len(r.Printed[0]), MaxPrinted, MaxPrintedLine)
	}
}
