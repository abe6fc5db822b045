package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
)

// reusing is a configuration with reuse, and settings more, in JSON without braces.
func reusing(t *testing.T, settings string) *schema.Config {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte("{"+settings+"}"), &all); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]any{
		"issuer": "https://example.kinde.com", "redis": map[string]any{"host": "127.0.0.1", "port": 1}, "jwks_uri": "http://127.0.0.1:1/jwks",
		"signing": map[string]any{"jwks_file": keyFile(t, generated(t))}, "claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}},
	} {
		all[name] = value
	}
	if all["reuse"] == nil {
		all["reuse"] = map[string]any{"enabled": true}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Validated(schema.ParseInstance(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestReuseOpens: answers are given again only if somebody asked for it, some are
// enforced, and all requests are those of one route or service. Otherwise the warning
// says what to do, if there is something.
func TestReuseOpens(t *testing.T) {
	for name, tt := range map[string]struct {
		settings string
		scoped   bool
		opens    bool
		warning  string
	}{
		"on":               {``, true, true, ""},
		"off":              {`"reuse":{"enabled":false}`, true, false, ""},
		"off, all routes":  {`"reuse":{"enabled":false}`, false, false, ""},
		"observe":          {`"mode":"observe"`, true, false, ""},
		"nobody enforced":  {`"enforce_share":0`, true, false, ""},
		"a share enforced": {`"enforce_share":1`, true, true, ""},
		"all routes":       {``, false, false, "put it on a route or a service"},
	} {
		g := open(t, reusing(t, tt.settings), Options{Scoped: tt.scoped})
		if opens := g.Reuse != nil; opens != tt.opens || opens != (g.State().Reuse != nil) {
			t.Errorf("%s: opens %t with the state %+v, want %t", name, opens, g.State().Reuse, tt.opens)
		}
		warning := g.ReuseWarning()
		if (warning != nil) != (tt.warning != "") || warning != nil && !strings.Contains(warning.Error(), tt.warning) {
			t.Errorf("%s: the warning is %v, want %q", name, warning, tt.warning)
		}
		g.StopWaiting()
		g.StopWaiting() // Close does it again
	}
}

// TestSharedErrors: the state has the errors of Redis about shared answers.
func TestSharedErrors(t *testing.T) {
	cfg := config(t, keyFile(t, generated(t)))
	cfg.Reuse.Enabled, cfg.Reuse.Shared, cfg.Reuse.Secret = true, true, "0123456789abcdef"
	g := open(t, cfg, Options{Scoped: true})
	if _, err := g.Records.SharedAnswer(t.Context(), "name"); err == nil {
		t.Fatal("got an answer of a Redis that isn't there")
	}
	if s := g.State().Reuse; s == nil || s.SharedErrors != 1 {
		t.Errorf("got %+v, want 1 error", s)
	}
}
