package kinde

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/idptest"
)

func TestPropertiesOverPages(t *testing.T) {
	w := start(t)
	given, want := map[string]any{"none": nil, "nothing": ""}, schema.Record{}
	for i := range 25 { // the stub gives 10 at once
		key := fmt.Sprintf("key_%02d", i)
		given[key], want[key] = "v"+key, "v"+key
	}
	w.tenant.SetApplication(idptest.Application{ID: "app_a", Type: "m2m", Properties: given})
	got, err := w.ApplicationProperties(t.Context(), "app_a")
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if hits := w.tenant.Hits("/api/v1/applications/app_a/properties"); hits != 3 {
		t.Errorf("%d pages were asked for", hits)
	}
}

func TestOwnFields(t *testing.T) {
	custom := map[string]any{"plan": "gold", "region": nil, "is_suspended": "false", "code": "org_b", "handle": "other"}
	for name, c := range map[string]struct {
		given any
		want  schema.Record
	}{
		"organization": {
			idptest.Organization{Code: "a", Name: "Acme", Handle: "acme", ExternalID: "x-1"},
			schema.Record{"code": "a", "name": "Acme", "handle": "acme", "external_id": "x-1", "is_suspended": "false"},
		},
		"organization, null fields": {idptest.Organization{Code: "a"}, schema.Record{"code": "a", "is_suspended": "false"}},
		"organization, properties with the names of fields": {
			idptest.Organization{Code: "a", IsSuspended: true, Properties: custom},
			schema.Record{"code": "a", "is_suspended": "true", "plan": "gold"},
		},
		"user": {
			idptest.User{ID: "a", Email: "a@acme.example", FirstName: "Ada", LastName: "L", IsSuspended: new(true)},
			schema.Record{"id": "a", "email": "a@acme.example", "first_name": "Ada", "last_name": "L", "is_suspended": "true"},
		},
		"user, null fields and properties": {
			idptest.User{ID: "a", Properties: map[string]any{"team": "ops", "email": "b@acme.example", "id": "kp_b"}},
			schema.Record{"id": "a", "team": "ops"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			switch given := c.given.(type) {
			case idptest.Organization:
				w.tenant.SetOrganization(given)
			case idptest.User:
				w.tenant.SetUser(given)
			}
			kind, _, _ := strings.Cut(name, ",")
			if got, err := w.records()[kind](t.Context(), "a"); err != nil || !maps.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

// records are the three ways to a record, by the kind that errors name.
func (w *world) records() map[string]func(context.Context, string) (schema.Record, error) {
	return map[string]func(context.Context, string) (schema.Record, error){
		"application": w.ApplicationProperties, "organization": w.Organization, "user": w.User,
	}
}

func TestNotFound(t *testing.T) {
	w := start(t)
	for kind, get := range w.records() {
		_, err := get(t.Context(), "absent")
		w.expectError(t, err, kind+` "absent"`, "status 404")
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}

// TestNotTheAPIs404: a 404 of a proxy or of the token endpoint doesn't mean that
// the tenant has no such record.
func TestNotTheAPIs404(t *testing.T) {
	for name, c := range map[string]struct{ path, body string }{
		"a page":             {"/api/v1/user", "<html>not found</html>"},
		"another API's":      {"/api/v1/user", `{"message":"no Route matched with those values"}`},
		"the token endpoint": {"/oauth2/token", `{"errors":[{"code":"NOT_FOUND"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			w.answer(c.path, http.StatusNotFound, c.body)
			_, err := w.User(t.Context(), "kp_a")
			w.expectError(t, err, `user "kp_a"`, "status 404")
			if errors.Is(err, ErrNotFound) {
				t.Errorf("it counts as not found: %v", err)
			}
		})
	}
}

// TestIdentifiers: characters with a meaning in URLs keep none.
func TestIdentifiers(t *testing.T) {
	w := start(t)
	for _, id := range []string{"a/b", "a?b=c&d", "a%2Fb", "a#b", "a b+c", "a;b", "../users/a", "ä", "a//b", `"`} {
		properties := map[string]any{"is": "it"}
		w.tenant.SetApplication(idptest.Application{ID: id, Properties: properties})
		w.tenant.SetOrganization(idptest.Organization{Code: id, Properties: properties})
		w.tenant.SetUser(idptest.User{ID: id, Properties: properties})
		for kind, get := range w.records() {
			if got, err := get(t.Context(), id); err != nil || got["is"] != "it" {
				t.Errorf("%s %q: got %v, %v", kind, id, got, err)
			}
		}
	}
	for _, id := range []string{"", ".", ".."} {
		for kind, get := range w.records() {
			_, err := get(t.Context(), id)
			w.expectError(t, err, kind, "not an identifier")
		}
	}
}

func TestHostileProperties(t *testing.T) {
	w := start(t)
	for name, c := range map[string]struct{ body, says string }{
		"a number":          {`{"properties":[{"key":"seats","value":7}]}`, `property "seats": the value is neither a string nor null`},
		"a boolean":         {`{"properties":[{"key":"seats","value":true}]}`, `property "seats"`},
		"an object":         {`{"properties":[{"key":"seats","value":{"a":"b"}}]}`, `property "seats"`},
		"no key":            {`{"properties":[{"value":"a"}]}`, "properties[0] has no key"},
		"two values":        {`{"properties":[{"key":"a","value":"b"},{"key":"a","value":"c"}]}`, `property "a": listed twice`},
		"no list":           {`{"code":"OK"}`, "doesn't list the properties"},
		"null":              {`null`, "not a JSON object"},
		"a list of texts":   {`{"properties":["a"]}`, "properties"},
		"pages without end": {`{"properties":[],"next_token":"again"}`, "that of an earlier page"},
	} {
		t.Run(name, func(t *testing.T) {
			w.answer("/api/v1/applications/app_a/properties", http.StatusOK, c.body)
			got, err := w.ApplicationProperties(t.Context(), "app_a")
			w.expectError(t, err, `application "app_a"`, c.says)
			if got != nil {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestNewPagesWithoutEnd: pages of properties must end, even if each is new.
func TestNewPagesWithoutEnd(t *testing.T) {
	w := start(t)
	const path = "/api/v1/applications/app_a/properties"
	w.tenant.Replace(path, func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, `{"properties":[],"next_token":"%s."}`, r.FormValue("next_token"))
	})
	_, err := w.ApplicationProperties(t.Context(), "app_a")
	w.expectError(t, err, "more than 100 pages")
}

func TestHostileRecords(t *testing.T) {
	for name, c := range map[string]struct{ kind, path, body, says string }{
		"no is_suspended":       {"organization", "/api/v1/organization", `{"code":"id"}`, "doesn't say is_suspended"},
		"null for is_suspended": {"organization", "/api/v1/organization", `{"code":"id","is_suspended":null}`, "doesn't say is_suspended"},
		"text for is_suspended": {"organization", "/api/v1/organization", `{"code":"id","is_suspended":"false"}`, "is_suspended"},
		"another organization":  {"organization", "/api/v1/organization", `{"code":"ID","is_suspended":false}`, "isn't about it"},
		"no code":               {"organization", "/api/v1/organization", `{"is_suspended":false}`, "isn't about it"},
		"a name of numbers":     {"organization", "/api/v1/organization", `{"code":"id","is_suspended":false,"name":1}`, "name"},
		"another user":          {"user", "/api/v1/user", `{"id":"kp_b"}`, "isn't about it"},
		"no user":               {"user", "/api/v1/user", `{}`, "isn't about it"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			w.tenant.SetOrganization(idptest.Organization{Code: "id"})
			w.tenant.SetUser(idptest.User{ID: "id"})
			w.answer(c.path, http.StatusOK, c.body)
			got, err := w.records()[c.kind](t.Context(), "id")
			w.expectError(t, err, c.kind+` "id"`, c.says)
			if got != nil {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestUnkeepable: what is too large for Redis is left out, but never what
// identifies a record or says whether it is suspended.
func TestUnkeepable(t *testing.T) {
	long := strings.Repeat("x", schema.MaxPropertySize+1)
	for name, c := range map[string]struct {
		given idptest.Organization
		want  int      // properties
		warns []string // one warning each
	}{
		"a long name":         {idptest.Organization{Name: long, Handle: "h"}, 3, []string{`organization "org_a": "name" has more than 4096 bytes`}},
		"all fields":          {idptest.Organization{Name: long, Handle: long, ExternalID: long}, 2, []string{`"name"`, `"handle"`, `"external_id"`}},
		"no stand-in":         {idptest.Organization{Name: long, Properties: map[string]any{"name": "another"}}, 2, []string{`"name"`}},
		"a property's value":  {idptest.Organization{Properties: map[string]any{"note": long[1:], "longer": long}}, 3, []string{`"longer" has more than 4096 bytes`}},
		"a property's name":   {idptest.Organization{Properties: map[string]any{strings.Repeat("p", 257): "v"}}, 2, []string{"a name of more than 256 bytes"}},
		"as many as fit":      {idptest.Organization{Properties: numbered(254)}, 256, nil},
		"one too many":        {idptest.Organization{Properties: numbered(255)}, 256, []string{`has 257 properties, more than 256: "p254"`}},
		"too many and a long": {idptest.Organization{Name: long, Properties: numbered(300)}, 256, []string{`"name"`, `has 302 properties, more than 256: "p254"`}},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			var warned []string
			w.Warn = func(warning string) { warned = append(warned, warning) }
			c.given.Code, c.given.IsSuspended = "org_a", true
			w.tenant.SetOrganization(c.given)
			got, err := w.Organization(t.Context(), "org_a")
			if err != nil || len(got) != c.want || got["code"] != "org_a" || got["is_suspended"] != "true" {
				t.Errorf("got %d properties, %v", len(got), err)
			}
			if _, err := schema.Organization.Complete("org_a", got); err != nil {
				t.Error(err)
			}
			for _, want := range c.warns {
				if !slices.ContainsFunc(warned, func(w string) bool { return strings.Contains(w, want) }) {
					t.Errorf("warned %q, not of %s", warned, want)
				}
			}
			if len(warned) != len(c.warns) || strings.Contains(fmt.Sprint(warned), "xxx") {
				t.Errorf("warned %q", warned)
			}
		})
	}
}

// numbered returns n properties, p000 and so on.
func numbered(n int) map[string]any {
	all := map[string]any{}
	for i := range n {
		all[fmt.Sprintf("p%03d", i)] = "v"
	}
	return all
}
