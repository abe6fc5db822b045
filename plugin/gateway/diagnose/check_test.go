package diagnose

import (
	"context"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

func TestCheckReportsEverything(t *testing.T) {
	given := map[string]any{
		"issuer": "https://example.kinde.com", "redis": map[string]any{"host": "127.0.0.1", "port": 1.0},
		"jwks_uri": "http://127.0.0.1:1/jwks", "signing": map[string]any{"jwks_file": "/nonexistent/keys.json"},
		"claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}},
	}
	findings, err := Check(context.Background(), given)
	var failed []string
	for _, f := range findings {
		if f.Err != nil {
			failed = append(failed, f.What)
		}
	}
	if got, want := strings.Join(failed, ", "), "signing keys, provider's keys, redis at 127.0.0.1:1"; got != want || err != nil {
		t.Errorf("failed: %s, %v, want %s", got, err, want)
	}
	given["timeout"], given["claims"] = "x", []any{map[string]any{"name": "n", "type": "number", "value": "x"}}
	if findings, err := Check(context.Background(), given); len(findings) > 0 || len(schema.Split(err)) != 2 {
		t.Errorf("got %v, %v, want two errors", findings, err)
	}
}

// TestCheckLeavesVaultReferences: only Kong can resolve them.
func TestCheckLeavesVaultReferences(t *testing.T) {
	findings, err := Check(t.Context(), map[string]any{
		"issuer": "https://example.kinde.com", "jwks_uri": "http://127.0.0.1:1/jwks", "signing": map[string]any{"jwks": "{vault://env/keys}"},
		"redis":  map[string]any{"host": "127.0.0.1", "port": 1.0, "password": "{vault://env/password}"},
		"claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}},
	})
	if err != nil || len(findings) != 4 || !strings.Contains(findings[1].What, "not checked") || !strings.Contains(findings[3].What, "not checked") {
		t.Errorf("got %v, %v, want keys and Redis not checked", findings, err)
	}
}

// TestCheckWithoutScan: a server that serves lookups passes, even if it doesn't
// list records. One in trouble fails.
func TestCheckWithoutScan(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Do(t.Context(), "acl", "setuser", "m2m", "on", ">pw", "~*", "-@all", "+hmget", "+exists").Err(); err != nil {
		t.Fatal(err)
	}
	scanSays := func(reply string) redistest.Handler {
		return func(command []string) (string, bool) { return reply, strings.EqualFold(command[0], "scan") }
	}
	for name, tt := range map[string]struct {
		handler       redistest.Handler
		invalidation  bool
		user          string
		works, refuse string // parts of the findings
	}{
		"twemproxy":            {handler: redistest.Twemproxy, works: "lookups work, applications aren't counted; list, export and sync need another address"},
		"reason":               {handler: redistest.Twemproxy, works: "this server lists no records (SCAN): it closed the connection at SCAN"},
		"Envoy":                {handler: redistest.Envoy, works: "this server lists no records (SCAN): ERR unknown command"},
		"words without a code": {handler: scanSays("-unsupported command 'scan'\r\n"), works: "this server lists no records (SCAN): unsupported command"},
		"no right":             {user: "m2m", works: "this server lists no records (SCAN): NOPERM"},
		"everything":           {works: ": 0 applications"},
		"loading":              {handler: scanSays("-LOADING Redis is loading the dataset in memory\r\n"), refuse: "LOADING"},
		"closed at a lookup": {
			handler: func(command []string) (string, bool) { return "", strings.EqualFold(command[0], "exists") },
			refuse:  "it closed the connection at EXISTS",
		},
		"invalidation":          {handler: redistest.Twemproxy, invalidation: true, works: "lookups work", refuse: "it closed the connection at HELLO"},
		"invalidation by Envoy": {handler: redistest.Envoy, invalidation: true, works: "lookups work", refuse: "it doesn't speak RESP3"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := redistest.StartProxy(t, server.Addr())
			proxy.Handle(tt.handler)
			redis := map[string]any{"host": "127.0.0.1", "port": float64(proxy.Port())}
			if tt.user != "" {
				redis["username"], redis["password"] = tt.user, "pw"
			}
			findings, err := Check(t.Context(), map[string]any{
				"issuer": "https://example.kinde.com", "jwks_uri": "http://127.0.0.1:1/jwks", "signing": map[string]any{"jwks": "{vault://env/keys}"},
				"redis": redis, "cache": map[string]any{"invalidation": tt.invalidation},
				"claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}},
			})
			if err != nil || len(findings) < 4 {
				t.Fatalf("got %v, %v, want findings about Redis", findings, err)
			}
			var works, refuse string
			for _, f := range findings[3:] {
				if f.Err != nil {
					refuse += f.Err.Error()
				} else {
					works += f.What
				}
			}
			if !strings.Contains(works, tt.works) || !strings.Contains(refuse, tt.refuse) || tt.works == "" && works != "" || tt.refuse == "" && refuse != "" {
				t.Errorf("got %q and the errors %q, want %q and %q", works, refuse, tt.works, tt.refuse)
			}
		})
	}
}

// TestCheckWithUnknownValues: what depends on an unknown value isn't tried, and
// everything else is.
func TestCheckWithUnknownValues(t *testing.T) {
	u := schema.Unknown{Where: "elsewhere"}
	for field, want := range map[string]string{ // the findings that aren't failures
		"issuer":   "configuration; redis: not checked",
		"jwks_uri": "configuration; provider's keys: not checked",
		"prefix":   "configuration; redis: not checked",
		"redis":    "configuration; redis: not checked",
		"signing":  "configuration; signing keys: not checked",
		"cache":    "configuration",
		"claims":   "configuration",
	} {
		given := map[string]any{
			"issuer": "https://example.kinde.com", "jwks_uri": "http://127.0.0.1:1/jwks", "signing": map[string]any{"jwks_file": "/nonexistent/keys.json"},
			"redis":  map[string]any{"host": "127.0.0.1", "port": 1.0},
			"claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}},
		}
		given[field] = u
		findings, err := Check(t.Context(), given)
		var passed []string
		for _, f := range findings {
			if what, _, _ := strings.Cut(f.What, ", a value"); f.Err == nil {
				what, _, _ = strings.Cut(what, ": issuer")
				passed = append(passed, what)
			}
		}
		if got := strings.Join(passed, "; "); got != want || err != nil {
			t.Errorf("%s: got %q and %v, want %q", field, got, err, want)
		}
	}
}
