package diagnose

import (
	"context"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
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
