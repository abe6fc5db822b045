package kinde

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
	"m2m-token-enricher/test/idptest"
)

// TestOneBadRecord stops no other: a suspension of another one is applied, the bad
// record stays as it was, nothing is deleted because of it, and the run reports
// it.
func TestOneBadRecord(t *testing.T) {
	const app, org = "/api/v1/applications/app_bad/properties", "/api/v1/organizations/org_bad/properties"
	answering := func(path string, status int, body string) func(*hook) {
		return func(h *hook) { h.answer(path, status, body) }
	}
	for name, c := range map[string]struct {
		spoil func(*hook)
		bad   string // key
	}{
		"a property listed twice": {answering(org, 200, `{"properties":[{"key":"a","value":"b"},{"key":"a","value":"c"}]}`), "org:org_bad"},
		"a number":                {answering(org, 200, `{"properties":[{"key":"a","value":7}]}`), "org:org_bad"},
		"no list":                 {answering(app, 200, `{}`), "app:app_bad"},
		"a name beside another":   {answering(org, 200, `{"properties":[{"key":"Is_Suspended","value":"false"}]}`), "org:org_bad"},
		"a name beside org_code":  {answering(app, 200, `{"properties":[{"key":"orgCode","value":"org_bad"}]}`), "app:app_bad"},
		"not JSON":                {answering(app, 200, `<html>`), "app:app_bad"},
		"an internal error":       {answering(org, 500, ``), "org:org_bad"},
		"a bad request":           {answering(app, 400, `{"errors":[{"code":"BAD","message":"no"}]}`), "app:app_bad"},
		"a proxy's 404":           {answering(org, 404, `no`), "org:org_bad"},
		"no word of a suspension": {func(h *hook) { h.saying("org_bad", `{"code":"org_bad"}`) }, "org:org_bad"},
		"another one's answer":    {func(h *hook) { h.saying("org_bad", `{"code":"org_a","is_suspended":false}`) }, "org:org_bad"},
		"another type in Redis":   {func(h *hook) { h.text(prefix + "org:org_bad") }, "org:org_bad"},
		"another type, of an app": {func(h *hook) { h.text(prefix + "app:app_bad") }, "app:app_bad"},
		"an identifier too long":  {func(h *hook) { h.job(strings.Repeat("x", 300)) }, ""},
		"a space at an end":       {func(h *hook) { h.job("app_7 ", "org_code", "org_a") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHook(t)
			h.job("app_1", "org_code", "org_a")
			h.job("app_bad", "org_code", "org_bad")
			h.job("app_gone", "org_code", "org_gone")
			for _, code := range []string{"org_bad", "org_gone"} {
				h.synced.tenant.SetOrganization(idptest.Organization{Code: code, Name: code})
			}
			h.sync()
			before := h.dump()
			h.organization("renamed", true)
			h.tenant.RemoveApplication("app_gone")
			h.tenant.RemoveOrganization("org_gone")
			c.spoil(h)
			_, err := h.run().Do(t.Context())
			if !errors.Is(err, reconcile.ErrIncomplete) {
				t.Fatalf("got %v", err)
			}
			if _, id, _ := strings.Cut(c.bad, ":"); !strings.Contains(err.Error(), id) {
				t.Errorf("it doesn't name %s: %v", c.bad, err)
			}
			got := h.dump()
			if got["org:org_a"]["is_suspended"] != "true" || got["app:app_gone"] != nil || got["org:org_gone"] != nil {
				t.Errorf("not all others are applied: %v", got)
			}
			if !strings.Contains(name, "another type") && fmt.Sprint(got[c.bad]) != fmt.Sprint(before[c.bad]) {
				t.Errorf("%s is %v, was %v", c.bad, got[c.bad], before[c.bad])
			}
			for _, key := range []string{"org:org_bad", "app:app_bad"} {
				if _, ok := got[key]; !ok {
					t.Errorf("%s was deleted", key)
				}
			}
		})
	}
}

// saying makes the tenant answer body when it is asked for one organization.
func (h *hook) saying(code, body string) {
	const path = "/api/v1/organization"
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code") == code {
			fmt.Fprint(w, body)
			return
		}
		fmt.Fprintf(w, `{"code":%q,"name":"renamed","is_suspended":true}`, r.FormValue("code"))
	}
	h.tenant.Replace(path, handler)
}

// text replaces the record at key by a string.
func (h *hook) text(key string) {
	h.Helper()
	client := h.server.Client()
	if err := errors.Join(client.Del(h.T.Context(), key).Err(), client.Set(h.T.Context(), key, "text", 0).Err()); err != nil {
		h.Fatal(err)
	}
}

// TestLongNames: a name that is too long stops neither a run nor the webhook.
func TestLongNames(t *testing.T) {
	h := startHook(t)
	long := strings.Repeat("n", 5000)
	h.job("app_1", "org_code", "org_a", "user_id", "kp_1")
	h.synced.tenant.SetUser(idptest.User{ID: "kp_1", FirstName: long})
	h.organization(long, true)
	h.post(h.event(eventOfUpdate, "org_a"), 204)
	h.sync()
	got := h.dump()
	if want := fmt.Sprint(schema.Record{"code": "org_a", "is_suspended": "true"}); fmt.Sprint(got["org:org_a"]) != want || got["user:kp_1"]["id"] != "kp_1" {
		t.Errorf("got %v", got)
	}
}

// TestSuspensionOfABadRecord: a suspension is applied even if the properties of
// the record can't be read. They stay. No record is made of the suspension alone.
func TestSuspensionOfABadRecord(t *testing.T) {
	for name, learn := range map[string]func(*hook){
		"by a run": func(h *hook) {
			_, err := h.run().Do(h.T.Context())
			h.expectError(h.T, err, `organization "org_a"`, `organization "org_b"`)
		},
		"by the webhook": func(h *hook) {
			h.post(h.event(eventOfUpdate, "org_a"), 503)
			h.post(h.event(eventOfUpdate, "org_b"), 204)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHook(t)
			h.record("org_a", schema.Record{"plan": "gold", "is_suspended": "false"})
			h.job("app_1", "org_code", "org_a")
			h.job("app_2", "org_code", "org_b")
			h.organization("renamed", true)
			h.synced.tenant.SetOrganization(idptest.Organization{Code: "org_b", Name: "b"})
			for _, code := range []string{"org_a", "org_b"} {
				h.answer("/api/v1/organizations/"+code+"/properties", 500, "")
			}
			learn(h)
			got := h.dump()
			if want := fmt.Sprint(schema.Record{"code": "org_a", "plan": "gold", "is_suspended": "true"}); fmt.Sprint(got["org:org_a"]) != want || got["org:org_b"] != nil {
				t.Errorf("got %v", got)
			}
		})
	}
}
