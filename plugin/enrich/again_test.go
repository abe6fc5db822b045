package enrich

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// held runs the exchange with reuse enabled, and returns the answer that may be given
// again.
func (f *fixture) held() (*Enricher, *Held) {
	f.t.Helper()
	f.set("reuse", "enabled", true)
	e := f.enricher()
	r := e.Enrich(context.Background(), f.complete())
	if r.Outcome != Enriched {
		f.t.Fatalf("outcome %s, want %s: %v", r.Outcome, Enriched, r.Cause)
	}
	h, err := r.Held()
	must(f.t, err)
	return e, h
}

// TestAgain: the same token is given again, with less life, and described alike.
func TestAgain(t *testing.T) {
	f := newFixture(t)
	e, h := f.held()
	r, err := e.Again(context.Background(), h, "", testNow.Add(100*time.Second))
	must(t, err)
	if r.Outcome != Reused || r.Action != Replace || r.Status != 200 || !r.Token || r.ClientID != testClient || r.Failed() || r.Logged() {
		t.Errorf("got %+v, want a reused answer that isn't logged", r)
	}
	var first, again map[string]any
	must(t, json.Unmarshal(h.Body, &first))
	must(t, json.Unmarshal(r.Body, &again))
	if first["access_token"] != again["access_token"] || again["expires_in"] != 86299.0 {
		t.Errorf("got %v, want the same token with expires_in 86299", again)
	}
	if got := r.Issued(); got.TokenID != "j" || got.Organization != testOrg || got.KeyID != f.ring.KeyID() || len(got.Claims) != 2 {
		t.Errorf("issued %+v, want j of %s with two claims by the ring's first key", got, testOrg)
	}
	if _, err := r.Held(); err == nil {
		t.Error("a reused answer may be held once more")
	}
}

func TestInOutage(t *testing.T) {
	e, h := newFixture(t).held()
	r, err := e.Again(context.Background(), h, "", testNow)
	must(t, err)
	if out := r.InOutage(context.DeadlineExceeded); out.Outcome != ReusedInOutage || out.Action != Replace || !out.Logged() || out.Failed() || out.Cause == nil {
		t.Errorf("got %+v, want the same answer with another outcome, which is logged", out)
	}
}

// TestAgainSeesChanges: whatever would refuse the exchange now, or change its token,
// keeps the answer from being given again.
func TestAgainSeesChanges(t *testing.T) {
	organization := func(name, value string) func(*fixture) {
		return func(f *fixture) {
			changed := maps.Clone(f.records["org:"+testOrg].(schema.Record))
			changed[name] = value
			f.records["org:"+testOrg] = changed
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*fixture)
		why    string
	}{
		{"nothing", func(*fixture) {}, ""},
		{"a property that no claim reads", organization("plan", "silver"), ""},
		{"suspended organization", organization("is_suspended", "TRUE"), "suspended_organization"},
		{"changed property", organization("name", "Acme Ltd"), "the claims would differ"},
		{"one byte more", organization("name", "Acme Inc "), "the claims would differ"},
		{"missing property", organization("name", ""), "missing_property"},
		{"suspension that can't be read", organization("is_suspended", "perhaps"), "invalid_record"},
		{"unknown application", func(f *fixture) { delete(f.records, "app:"+testClient) }, "unknown_application"},
		{"unknown organization", func(f *fixture) { delete(f.records, "org:"+testOrg) }, "unknown_organization"},
		{"another organization", func(f *fixture) {
			f.records["app:"+testClient] = schema.Record{"org_code": "org_2"}
			f.records["org:org_2"] = schema.Record{"code": "org_2", "name": "Acme Inc"}
		}, "the claims would differ"},
		{"invalid record", func(f *fixture) { f.records["org:"+testOrg] = schema.ErrInvalidRecord }, "invalid_record"},
		{"Redis is away", func(f *fixture) { f.records["org:"+testOrg] = schema.ErrUnavailable }, "lookup_unavailable"},
		{"Redis is away, and the record is old", func(f *fixture) {
			f.records["org:"+testOrg] = outdated(f.records["org:"+testOrg].(schema.Record))
		}, "lookup_unavailable"},
		{"another management audience", func(f *fixture) { f.set("", "management_audiences", []any{"https://api.example.com"}) }, "management_audience"},
		{"another claim for the client", func(f *fixture) { f.set("", "client_id_claim", []any{"jti"}) }, "the token names another client"},
		{"observed", func(f *fixture) { f.set("", "mode", "observe") }, "the client is observed"},
		{"rotated key", func(f *fixture) { f.ring = newRing("ec") }, "another key signs"},
		{"no key", func(f *fixture) { f.ring, f.ringErr = nil, errors.New("no ring") }, "no ring"},
		{"a workflow that adds a claim", func(f *fixture) { f.workflow = setting("tier", `"gold"`) }, "the claims would differ"},
		{"a workflow that fails", func(f *fixture) { f.workflow = throwing("no plan") }, "workflow_failed"},
		{"a workflow that adds nothing", func(f *fixture) { f.workflow = setting("org_name", `"Acme Inc"`) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			_, h := f.held()
			tt.change(f)
			r, err := f.enricher().Again(context.Background(), h, "", testNow)
			if (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Fatalf("got %v, want the reason %q", err, tt.why)
			}
			if err != nil && !reflect.DeepEqual(r, Result{}) {
				t.Errorf("got %+v beside the reason %v, want nothing", r, err)
			}
			if err != nil && strings.Contains(err.Error(), "Acme") {
				t.Errorf("the reason has a property's value: %v", err)
			}
		})
	}
}

// TestAgainWithIP: an expression reads the address of the client that asks now.
func TestAgainWithIP(t *testing.T) {
	f := newFixture(t)
	f.set("", "claims", []any{map[string]any{"name": "inside", "type": "boolean", "expr": `event.request.ip.startsWith("10.")`}})
	f.exchange.IP = "10.0.0.1"
	e, h := f.held()
	if _, err := e.Again(context.Background(), h, "10.0.0.2", testNow); err != nil {
		t.Errorf("another address with the same claims: got %v, want the answer", err)
	}
	if _, err := e.Again(context.Background(), h, "192.0.2.1", testNow); err == nil {
		t.Error("an address with another claim: got the answer, want none")
	}
}

// TestAgainRunsWorkflow: what it prints is in the result if the answer is given.
func TestAgainRunsWorkflow(t *testing.T) {
	f, value := newFixture(t), `"a"`
	f.workflow = code{run: func(Event, []splice.Member, Related) ([]splice.Member, []string, error) {
		return []splice.Member{{Name: "tier", Value: jsontext.Value(value)}}, []string{"it ran"}, nil
	}}
	e, h := f.held()
	r, err := e.Again(context.Background(), h, "", testNow)
	must(t, err)
	if !slices.Equal(r.Printed, []string{"it ran"}) || !slices.Equal(r.Computed, []string{"tier"}) {
		t.Errorf("printed %q, computed %q, want it ran and tier", r.Printed, r.Computed)
	}
	value = `"b"`
	if r, err := e.Again(context.Background(), h, "", testNow); err == nil || r.Printed != nil {
		t.Errorf("got %v with %q, want another claim and nothing printed", err, r.Printed)
	}
}

// TestAgainComparesBytes: claims are the same only if they are written alike.
func TestAgainComparesBytes(t *testing.T) {
	f, name, value := newFixture(t), "limit", `1.0`
	f.workflow = code{run: func(Event, []splice.Member, Related) ([]splice.Member, []string, error) {
		return []splice.Member{{Name: name, Value: jsontext.Value(value)}}, nil, nil
	}}
	e, h := f.held()
	for _, other := range []string{`1`, `1.00`, `1.0 `, `"1.0"`} {
		value = other
		if _, err := e.Again(context.Background(), h, "", testNow); err == nil {
			t.Errorf("%s instead of 1.0: got the answer, want none", other)
		}
	}
	name, value = "Limit", `1.0`
	if _, err := e.Again(context.Background(), h, "", testNow); err == nil {
		t.Error("Limit instead of limit: got the answer, want none")
	}
}

// TestAgainEqualsFirst: after any exchange whose answer may be given again, an answer
// is given, and describes the same token.
func TestAgainEqualsFirst(t *testing.T) {
	for _, tt := range reusableTests {
		if tt.why != "" {
			continue
		}
		f := newFixture(t)
		f.set("reuse", "enabled", true)
		tt.spoil(f)
		first := f.want(Enriched)
		h, err := first.Held()
		must(t, err)
		again, err := f.enricher().Again(context.Background(), h, f.exchange.IP, testNow)
		must(t, err)
		if got, want := again.Issued(), first.Issued(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: issued %+v, want %+v", tt.name, got, want)
		}
		before, _ := bodyText(t, first.Body, "access_token")
		if after, _ := bodyText(t, again.Body, "access_token"); after != before {
			t.Errorf("%s: another token", tt.name)
		}
	}
}

// TestAgainUnknown: what can't be looked up isn't a no.
func TestAgainUnknown(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fixture)
		want   bool
	}{
		"redis silent": {func(f *fixture) { f.records["org:"+testOrg] = schema.ErrUnavailable }, true},
		"no keys":      {func(f *fixture) { f.ringErr = errors.New("no such file") }, true},
		"no record":    {func(f *fixture) { delete(f.records, "app:"+testClient) }, false},
		"suspended":    {func(f *fixture) { f.records["org:"+testOrg] = schema.Record{"code": testOrg, "is_suspended": "true"} }, false},
		"another name": {func(f *fixture) { f.records["org:"+testOrg] = schema.Record{"code": testOrg, "name": "Other"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			_, h := f.held()
			test.change(f)
			if _, err := f.enricher().Again(context.Background(), h, "", testNow); err == nil || Unknown(err) != test.want {
				t.Errorf("got unknown %t, want %t: %v", Unknown(err), test.want, err)
			}
		})
	}
}

// TestAgainTakesNoLonger: an answer that can't be compared in time isn't a no.
func TestAgainTakesNoLonger(t *testing.T) {
	for name, spoil := range map[string]func(*fixture){
		"expression": func(f *fixture) { f.set("", "claims", []any{map[string]any{"name": "tier", "expr": `"gold"`}}) },
		"workflow":   func(f *fixture) { f.workflow = setting("tier", `"gold"`) },
	} {
		f := newFixture(t)
		spoil(f)
		e, h := f.held()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := e.Again(ctx, h, "", testNow); err == nil || !Unknown(err) {
			t.Errorf("%s: got %v, unknown: %t, want that the time ended, which is unknown", name, err, Unknown(err))
		}
	}
}

// TestAgainAgreesWithEnrich: whatever the records are, an answer is given again exactly
// if a new exchange would add the same claims.
func TestAgainAgreesWithEnrich(t *testing.T) {
	f, tier := newFixture(t), `"a"`
	f.set("", "claims", []any{
		map[string]any{"name": "org_code", "from": "organization.code", "default": "none"},
		map[string]any{"name": "plan", "from": "organization.plan"},
		map[string]any{"name": "email", "from": "user.email", "default": "nobody"},
		map[string]any{"name": "far", "type": "boolean", "expr": `application.region != "eu" || event.request.ip == "192.0.2.1"`, "default": "false"},
	})
	f.workflow = code{run: func(Event, []splice.Member, Related) ([]splice.Member, []string, error) {
		return []splice.Member{{Name: "tier", Value: jsontext.Value(tier)}}, nil, nil
	}}
	e, h := f.held()
	original := maps.Clone(f.records)
	random := rand.New(rand.NewPCG(1, 2))
	one := func(values ...string) string { return values[random.IntN(len(values))] }
	counts := map[bool]int{}
	for range 600 {
		maps.Copy(f.records, original)
		tier = `"a"`
		x := f.complete()
		switch random.IntN(6) {
		case 0:
			f.records["app:"+testClient] = schema.Record{"org_code": one(testOrg, "org_2", ""), "user_id": one(testUser, "", "u"), "region": one("eu", "us", "")}
		case 1:
			f.records["org:"+testOrg] = schema.Record{"code": one(testOrg, "", "x"), "name": "Acme", "plan": one("gold", "silver", ""), "is_suspended": one("", "false", "true", "x")}
		case 2:
			f.records["user:"+testUser] = schema.Record{"id": one(testUser, ""), "email": one("ops@acme.example", "", "x@acme.example")}
		case 3:
			f.records[one("app:"+testClient, "org:"+testOrg, "user:"+testUser)] = []any{schema.ErrUnavailable, schema.ErrInvalidRecord, schema.ErrNoRecord}[random.IntN(3)]
		case 4:
			tier = one(`"a"`, `"b"`, `null`)
		case 5:
			x.IP = one("", "192.0.2.1")
		}
		fresh := e.Enrich(context.Background(), x)
		want := fresh.Outcome == Enriched && slices.EqualFunc(fresh.issued.added, h.Added, identical)
		if _, err := e.Again(context.Background(), h, x.IP, testNow); (err == nil) != want {
			t.Fatalf("given again: %t (%v), want %t, as a new exchange is %s: %v", err == nil, err, want, fresh.Outcome, fresh.Cause)
		}
		counts[want]++
	}
	if counts[true] < 60 || counts[false] < 60 {
		t.Errorf("%v of the answers were given, want both often", counts)
	}
}
