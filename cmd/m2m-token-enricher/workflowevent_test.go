package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/enrich"
)

// kindesEvent is an event as Kinde documents it.
const kindesEvent = `{
  "request": {"auth": {"audience": ["https://api.example.com"], "scope": ["read", "write"]}, "ip": "192.0.2.7"},
  "context": {
    "domains": {"kindeDomain": "https://example.kinde.com"},
    "application": {"clientId": "app_1"},
    "workflow": {"trigger": "m2m:token_generation"}
  }
}`

// eventIn returns the event that a file with text has.
func eventIn(t *testing.T, text string) (enrich.Event, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "event.json")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return readEvent(path)
}

func TestReadEvent(t *testing.T) {
	got, err := eventIn(t, kindesEvent)
	want := enrich.Event{Audience: []string{"https://api.example.com"}, Scope: []string{"read", "write"}, IP: "192.0.2.7", Domain: "https://example.kinde.com", ClientID: "app_1"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	const least = `{"context": {"domains": {"kindeDomain": "https://example.kinde.com/"}, "application": {"clientId": "app_1"}}}`
	got, err = eventIn(t, least)
	want = enrich.Event{Audience: []string{}, Scope: []string{}, Domain: "https://example.kinde.com", ClientID: "app_1"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without what is optional: got %+v, %v, want %+v", got, err, want)
	}
}

// TestReadEventRefuses: an event of another shape is refused, and the error names
// each wrong member with its line.
func TestReadEventRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ old, replacement, want string }{
		"unknown member":       {`"ip"`, `"IP"`, `event.json:2: request.IP: unknown member; did you mean "ip"?`},
		"unknown at the top":   {`"request"`, `"requests"`, `event.json:2: requests: unknown member; did you mean "request"?`},
		"a path as a name":     {`"request":`, `"request.ip": "192.0.2.7", "request":`, `event.json:2: request.ip: unknown member`},
		"no list":              {`["https://api.example.com"]`, `"https://api.example.com"`, `event.json:2: request.auth.audience: must be a list of strings`},
		"no texts in the list": {`"write"`, `7`, `event.json:2: request.auth.scope[1]: must be a string`},
		"null":                 {`"192.0.2.7"`, `null`, `event.json:2: request.ip: must be a string`},
		"number":               {`"app_1"`, `1`, `event.json:5: context.application.clientId: must be a string`},
		"empty":                {`"app_1"`, `""`, `event.json:5: context.application.clientId: required`},
		"no object":            {`{"clientId": "app_1"}`, `"app_1"`, `event.json:5: context.application: must be an object`},
		"missing":              {`"kindeDomain": "https://example.kinde.com"`, ``, `event.json:4: context.domains.kindeDomain: required`},
		"no URL":               {`https://example.kinde.com`, `example.kinde.com`, `event.json:4: context.domains.kindeDomain: must be an https URL, such as https://example.kinde.com`},
		"another trigger":      {`m2m:token_generation`, `user:tokens_generation`, `event.json:6: context.workflow.trigger: must be m2m:token_generation`},
		"twice":                {`"ip": "192.0.2.7"`, `"ip": "192.0.2.7", "ip": "192.0.2.8"`, `event.json:2: request.ip: is on line 2, too; keep one`},
		"no JSON":              {`{"clientId"`, `{"clientId"]`, `event.json:5: `},
		"a list":               {kindesEvent, `[]`, `event.json:1: the event: must be an object`},
		"nothing":              {kindesEvent, ``, `event.json: 0 events; keep one`},
		"two":                  {kindesEvent, kindesEvent + "\n---\n" + kindesEvent, `event.json: 2 events; keep one`},
	} {
		_, err := eventIn(t, strings.Replace(kindesEvent, tt.old, tt.replacement, 1))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}
