package fetch

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
)

const (
	appProperties = `[{"id":"prop_name","name":"name","description":null,"key":"name","value":"Billing"},` +
		`{"id":"prop_org_code","name":"org_code","description":null,"key":"org_code","value":"org_1"},` +
		`{"id":"prop_plan","name":"plan","description":null,"key":"plan","value":"gold"}]`
	organizationAnswer = `{"code":"org_1","created_on":null,"external_id":null,"handle":null,"is_auto_membership_enabled":null,"is_default":null,` +
		`"is_suspended":false,"name":"Example & Sons","sender_email":null,"sender_name":null}`
	userAnswer = `{"created_on":null,"first_name":"Ann","id":"kp_1","is_suspended":null,"last_name":null,"phone":null,"picture":null,` +
		`"preferred_email":"a@example.com","provided_id":null,"username":null}`
	page = `"code":"OK","has_more":false,"message":"Success","next_token":null`
)

func TestEndpoints(t *testing.T) {
	for _, test := range []struct{ name, method, path, body, want string }{
		{"token", "POST", "oauth2/token", "client_id=unused&client_secret=unused", `{"access_token":"not-a-token-the-gateway-answers-from-its-records","expires_in":86400,"token_type":"bearer"}`},
		{"application", "GET", "api/v1/applications/app%201%2Fa", "", `{"application":{"client_id":"app 1/a","has_cancel_button":null,"homepage_uri":null,"id":"app 1/a","login_uri":null,"logout_uri":null,"name":"Billing","type":"m2m"},"code":"OK","message":"Success"}`},
		{"its properties", "GET", "api/v1/applications/app%201%2Fa/properties", "", `{"appProperties":` + appProperties + `,"properties":` + appProperties + `,` + page + `}`},
		{"organization", "GET", "api/v1/organization?code=org_1", "", organizationAnswer},
		{"code in the body", "GET", "api/v1/organization", "code=org_1", organizationAnswer},
		{"code in both", "GET", "api/v1/organization?code=org%5F1", "expand=x&code=org_1", organizationAnswer},
		{"slash at the end", "GET", "api/v1/organization/?code=org_1", "", organizationAnswer},
		{"method in lower case", "get", "api/v1/organization?code=org_1", "", organizationAnswer},
		{"no method", "", "api/v1/organization?code=org_1#fragment", "", organizationAnswer},
		{"organizations", "GET", "api/v1/organizations?page_size=100", "", `{"organizations":[` + organizationAnswer + `],` + page + `}`},
		{"organization's properties", "GET", "api/v1/organizations/org_1/properties", "", `{"properties":[{"id":"prop_code","name":"code","description":null,"key":"code","value":"org_1"},` +
			`{"id":"prop_is_default","name":"is_default","description":null,"key":"is_default","value":"maybe"},{"id":"prop_is_suspended","name":"is_suspended","description":null,"key":"is_suspended","value":"FALSE"},` +
			`{"id":"prop_name","name":"name","description":null,"key":"name","value":"Example & Sons"},{"id":"prop_region","name":"region","description":null,"key":"region","value":"eu"}],` + page + `}`},
		{"user", "GET", "api/v1/user?id=kp_1", "", userAnswer},
		{"user's properties", "GET", "api/v1/users/kp%5f1/properties/", "", `{"properties":[{"id":"prop_desk","name":"desk","description":null,"key":"desk","value":"4"},{"id":"prop_email","name":"email","description":null,"key":"email","value":"a@example.com"},` +
			`{"id":"prop_first_name","name":"first_name","description":null,"key":"first_name","value":"Ann"},{"id":"prop_id","name":"id","description":null,"key":"id","value":"kp_1"}],` + page + `}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := tenant(t, Request{Method: test.method, URL: domain + "/" + test.path, Body: test.body}, known)
			if err != nil {
				t.Fatal(err)
			}
			if text := canonical(t, got); text != canonical(t, json.RawMessage(test.want)) {
				t.Errorf("got %s, want %s", text, test.want)
			}
		})
	}
}

func canonical(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var any any
	if err := json.Unmarshal(text, &any); err != nil {
		t.Fatal(err)
	}
	text, _ = json.Marshal(any)
	return string(text)
}

// TestWaysToTheTenant: every spelling of the tenant's own origin, and a domain with a path.
func TestWaysToTheTenant(t *testing.T) {
	for _, test := range []struct{ domain, url string }{
		{domain, "HTTPS://Tenant.EXAMPLE/api/v1/organizations"},
		{domain, "https://tenant.example:443/api/v1/organizations"},
		{"https://tenant.example:443", "https://tenant.example/api/v1/organizations"},
		{"https://Tenant.Example/", "https://tenant.example/api/v1/organizations"},
		{"https://tenant.example/realms/a%20b", "https://tenant.example/realms/a%20b/api/v1/organizations"},
		{"http://127.0.0.1:4000", "http://127.0.0.1:4000/api/v1/organizations"},
		{"http://localhost", "http://localhost:80/api/v1/organizations"},
		{"https://[2001:db8::1]", "https://[2001:DB8:0::1]:443/api/v1/organizations"},
	} {
		if _, err := New(test.domain, nil, noNetwork(t)).Do(t.Context(), Request{URL: test.url}, clientID, known); err != nil {
			t.Errorf("%s of the tenant %s: %v, want an answer", test.url, test.domain, err)
		}
	}
}

func TestOnlyItsOwnRecords(t *testing.T) {
	for _, test := range []struct{ name, path, want string }{
		{"application", "applications/app", `only its own application, "app 1/a"`},
		{"application in another case", "applications/APP%201%2Fa/properties", `only its own application, "app 1/a"`},
		{"organization", "organization?code=org_2", `its own application's organization, "org_1", which organization.from finds`},
		{"organization of a missing property", "organization?code=undefined", `organization.from`},
		{"organization's properties", "organizations/ORG_1/properties", `organization.from`},
		{"user", "user?id=kp_2", `its own application's user, "kp_1", which user.from finds`},
		{"user's properties", "users/kp_1%00/properties", `user.from`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := tenant(t, Request{URL: domain + "/api/v1/" + test.path}, known)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the error %v, want %q", err, test.want)
			}
		})
	}
}

func TestApplicationNamesNone(t *testing.T) {
	none := func(schema.Kind) (string, schema.Record, error) { return "", nil, nil }
	list, err := tenant(t, Request{URL: domain + "/api/v1/organizations"}, none)
	if err != nil || canonical(t, list["organizations"]) != "[]" {
		t.Errorf("organizations = %v, %v, want an empty list", list["organizations"], err)
	}
	for path, want := range map[string]string{
		"organization?code=org_1": "names none; organization.from",
		"users/kp_1/properties":   "names none; user.from",
		"user?id=":                `the parameter "id" is required`,
	} {
		if _, err := tenant(t, Request{URL: domain + "/api/v1/" + path}, none); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got the error %v, want %q", path, err, want)
		}
	}
}

// TestAnotherApplicationIsNotLookedUp: which is why its record can't be read.
func TestAnotherApplicationIsNotLookedUp(t *testing.T) {
	_, err := tenant(t, Request{URL: domain + "/api/v1/applications/other"}, func(schema.Kind) (string, schema.Record, error) {
		t.Error("a lookup, want none")
		return "", nil, nil
	})
	if err == nil {
		t.Error("no error, want one")
	}
}

func TestLookupErrors(t *testing.T) {
	down := func(schema.Kind) (string, schema.Record, error) { return "org_1", nil, schema.ErrUnavailable }
	for _, path := range []string{
		"applications/" + url.PathEscape(clientID), "applications/" + url.PathEscape(clientID) + "/properties", "organization?code=org_1", "organizations",
		"organizations/org_1/properties", "user?id=kp_1", "users/kp_1/properties",
	} {
		if _, err := tenant(t, Request{URL: domain + "/api/v1/" + path}, down); !errors.Is(err, schema.ErrUnavailable) {
			t.Errorf("%s: got the error %v, want the lookup's", path, err)
		}
	}
	if _, err := tenant(t, Request{Method: "POST", URL: domain + "/oauth2/token"}, down); err != nil {
		t.Errorf("the token endpoint needs no lookup, got %v", err)
	}
}

func TestOtherEndpoints(t *testing.T) {
	for _, test := range []struct{ method, path string }{
		{"GET", ""}, {"GET", "api/v1"}, {"GET", "api/v1/applications"}, {"GET", "api/v1/organizations/org_1/users"}, {"GET", "api/v1//organizations"},
		{"GET", "api/v1/organizations//"}, {"GET", "./api/v1/organizations"}, {"GET", "api/v1/users/../organizations"}, {"GET", "API/v1/organizations"},
		{"GET", "api%2Fv1/organizations"}, {"GET", "/api/v1/organizations"}, {"GET", ".well-known/jwks.json"}, {"GET", ".well-known/openid-configuration"},
		{"PATCH", "api/v1/applications/app%201%2Fa/properties"}, {"HEAD", "api/v1/organizations"}, {"GET", "oauth2/token"}, {"POST", "oauth2/token/x"},
	} {
		_, err := tenant(t, Request{Method: test.method, URL: domain + "/" + test.path}, known)
		if err == nil {
			t.Errorf("%s %s is answered, want an error", test.method, test.path)
			continue
		}
		for _, want := range []string{test.method, strings.Trim(test.path, "/"), "GET api/v1/organization?code=", "POST oauth2/token"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: got the error %v, want %q in it", test.method, test.path, err, want)
			}
		}
	}
	below := New(domain+"/realms/a", nil, noNetwork(t))
	if _, err := below.Do(t.Context(), Request{URL: domain + "/api/v1/organizations"}, clientID, known); err == nil {
		t.Error("a path beside the tenant's domain is answered, want an error")
	}
}

func TestParameters(t *testing.T) {
	for _, test := range []struct{ name, query, body, want string }{
		{"none", "", "", "is required"},
		{"empty", "?code=", "code=", "is required"},
		{"two", "?code=org_1&code=org_2", "", "more than one"},
		{"two in two places", "?code=org_1", "code=org_2", "more than one"},
		{"JSON", "", `{"code":"org_1"}`, "is required"},
		{"bad escape", "?code=org_1%zz", "", "form-encoded"},
		{"bad escape in the body", "?code=org_1", "a=%zz", "form-encoded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := tenant(t, Request{URL: domain + "/api/v1/organization" + test.query, Body: test.body}, known)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the error %v, want %q", err, test.want)
			}
		})
	}
}
