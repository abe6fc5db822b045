package diagnose

import (
	"context"
	"strings"
	"testing"
)

func TestCheckReportsEverything(t *testing.T) {
	given := map[string]any{
		"issuer": "https://example.kinde.com", "redis": map[string]any{"host": "127.0.0.1", "port": 1.0},
		"jwks_uri": "http://127.0.0.1:1/jwks", "signing": map[string]any{"jwks_file": "/nonexistent/keys.json"},
		"claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}},
	}
	var mistakes []string
	for _, f := range Check(context.Background(), given) {
		if f.Err != nil {
			mistakes = append(mistakes, f.What)
		}
	}
	if got := strings.Join(mistakes, ", "); got != "signing keys, provider's keys, redis at 127.0.0.1:1" {
		t.Errorf("mistakes: %s", got)
	}
	given["timeout"], given["leeway"] = "x", 1e9
	if findings := Check(context.Background(), given); len(findings) != 2 {
		t.Errorf("findings %v", findings)
	}
}
