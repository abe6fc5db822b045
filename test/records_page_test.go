package test

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/redistest"
)

// ownPorts returns free ports for the ports of a page. It also stops the Redis that
// the page starts, in case the page fails before it does.
func ownPorts(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		redistest.Start(t) // skips, or fails in CI
	}
	redis := strconv.Itoa(redistest.FreePort(t))
	t.Cleanup(func() { _ = exec.Command("redis-cli", "-p", redis, "shutdown", "nosave").Run() })
	return []string{"6379", redis, "9543", strconv.Itoa(redistest.FreePort(t)), "9544", strconv.Itoa(redistest.FreePort(t))}
}

func TestRedisPage(t *testing.T) {
	out := runPage(t, "docs/redis.md", 3, strings.NewReplacer(ownPorts(t)...))
	contains(t, "docs/redis.md", out, "+ org org_8ed648340ea9\n  + code=org_8ed648340ea9", "region=eu", "  - region=eu",
		"would be 1 new, 1 changed, 0 unchanged, 0 bad", "orgs.csv: line 3: ", "1 new, 0 changed, 1 unchanged, 1 bad",
		"- app 0a1b2c3d4e5f60718293a4b5c6d7e8f9")
}

// TestRedisPageConfigurations: the configurations on the page are valid.
func TestRedisPageConfigurations(t *testing.T) {
	blocks := strings.Split(read(t, "docs/redis.md"), "\n```yaml\n")[1:]
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "\n```")
		given := map[string]any{
			"issuer": "https://example.kinde.com", "signing": map[string]any{"jwks_file": "/keys.json"},
			"claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}},
		}
		if err := yaml.Unmarshal([]byte(text), &given); err != nil {
			t.Fatal(err)
		}
		if _, err := schema.Parse(given); err != nil {
			t.Errorf("block %d: %v", i, err)
		}
	}
	if len(blocks) != 3 {
		t.Errorf("the page has %d configurations, want 3", len(blocks))
	}
}

// startTenant starts a tenant with an application of an organization.
func startTenant(t *testing.T) *idptest.Tenant {
	t.Helper()
	tenant, err := idptest.StartTenant()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tenant.Close)
	tenant.Add("sync", "the-secret-of-the-application")
	tenant.SetApplication(idptest.Application{ID: "app_1", Name: "Billing", Type: "m2m", Properties: map[string]any{"org_code": "org_1", "region": nil}})
	tenant.SetApplication(idptest.Application{ID: "app_2", Name: "Website", Type: "spa"})
	tenant.SetOrganization(idptest.Organization{Code: "org_1", Name: "Acme Inc", Properties: map[string]any{"plan": "gold"}})
	return tenant
}

func TestSyncPage(t *testing.T) {
	tenant := startTenant(t)
	edits := append(ownPorts(t), "sync kinde", "sync kinde --tenant "+tenant.URL(), "sync webhook", "sync webhook --tenant "+tenant.URL())
	out := runPage(t, "docs/sync.md", 1, strings.NewReplacer(edits...))
	contains(t, "docs/sync.md", out, "+ app app_1", "  + plan=gold", "  + name=Billing", "app: would be 1 new", "org: 1 new, 0 changed",
		`"healthy":true`, "2 deleted", "+ app 299627bd8bfa493f8b17e6aec8ebfb86",
		`{"id":"299627bd8bfa493f8b17e6aec8ebfb86","properties":{"org_code":"org_8ed648340ea9","region":"eu"}}`)
	if strings.Contains(out, "app_2") || strings.Contains(out, "the-secret") {
		t.Errorf("the output has app_2 or the secret:\n%s", out)
	}
	if n := tenant.Hits("/oauth2/token"); n == 0 {
		t.Error("the tenant was never asked for a token")
	}
}
