package fetch

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"m2m-token-enricher/schema"
)

const (
	domain   = "https://tenant.example"
	clientID = "app 1/a"
)

var records = map[schema.Kind]schema.Record{
	schema.Application:  {"name": "Billing", "org_code": "org_1", "plan": "gold", "empty": ""},
	schema.Organization: {"code": "org_1", "name": "Example & Sons", "is_suspended": "FALSE", "is_default": "maybe", "region": "eu"},
	schema.User:         {"id": "kp_1", "email": "a@example.com", "first_name": "Ann", "desk": "4"},
}

var ids = map[schema.Kind]string{schema.Application: clientID, schema.Organization: "org_1", schema.User: "kp_1"}

func known(kind schema.Kind) (string, schema.Record, error) { return ids[kind], records[kind], nil }

// noNetwork fails a test in which a request leaves the gateway.
func noNetwork(t testing.TB) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a request to %s, want none", r.URL.Host)
		return nil, errors.New("no network")
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// tenant asks the tenant with a client that has no network.
func tenant(t *testing.T, r Request, related Related) (map[string]any, error) {
	t.Helper()
	response, err := New(domain, nil, noNetwork(t)).Do(t.Context(), r, clientID, related)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(response.Body, &body); err != nil || response.Status != http.StatusOK {
		t.Fatalf("%s %s: status %d, body %s, %v; want 200 and a JSON object", r.Method, r.URL, response.Status, response.Body, err)
	}
	return body, nil
}
