package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scrape gets path from one of the plugin's own listeners.
func (w *world) scrape(address, path string) (int, string) {
	w.Helper()
	code, text, err := get("http://" + address + path)
	if err != nil {
		w.Fatal(err)
	}
	return code, text
}

// get returns the status and the body of url.
func get(url string) (code int, body string, err error) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// TestMetrics: a scrape counts what happens and names no client.
func TestMetrics(t *testing.T) {
	w := build(t, nil)
	address := loopback(t)
	w.flags = []string{"-metrics", address}
	w.start()
	w.enriched(w.ask(form()))
	w.provider.Add("nobody", secret)
	w.refused(w.ask(form("client_id", "nobody")), 400, "unauthorized_client", "unknown_application")
	code, text := w.scrape(address, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	for _, want := range []string{
		`outcome="enriched"} 1`, `outcome="unknown_application"} 1`, `m2m_handler_seconds_count{phase="response"} 2`,
		`m2m_handler_seconds_count{phase="access"} `, `m2m_step_seconds_count{step="sign"} 1`, `m2m_step_seconds_count{step="verify"} 2`,
		"m2m_cache_entries{", `m2m_ready{`, `role="signing"} 1`, "m2m_instances ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not in the scrape: %s", want)
		}
	}
	for _, never := range []string{client, "nobody", secret, org} {
		if strings.Contains(text, never) {
			t.Errorf("%q is in the scrape", never)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := w.scrape(address, path); code != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", path, code, body)
		}
	}
}

// TestExplainAndInspect: the commands agree with the gateway.
func TestExplainAndInspect(t *testing.T) {
	w := newWorld(t, nil)
	token := w.ask(form()).token()
	dir := t.TempDir()
	config, file, provider := filepath.Join(dir, "kong.yml"), filepath.Join(dir, "token"), filepath.Join(dir, "provider-token")
	raw, err := w.provider.Sign(w.provider.Claims(client, []string{"https://api.example.com"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{config: string(w.config()), file: "Bearer " + token, provider: `{"access_token":"` + raw + `"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args string
		code int
		says []string
	}{
		{"explain -c " + config + " " + client, 0, []string{"application.org_code = " + org, "organization.name = Acme Inc", "outcome: enriched", `+ org_name: "Acme Inc"`}},
		{"explain --json -c " + config + " " + client, 0, []string{`"outcome":"enriched"`, `"added":["org_code","org_name"]`}},
		{"explain -c " + config + " nobody", 3, []string{"outcome: unknown_application", "what to do: write the record; compare `prefix`"}},
		{"explain -c " + config + " --audience https://example.kinde.com/api " + client, 3, []string{"outcome: management_audience, the provider's answer passes"}},
		{"explain -c " + config + " --token " + provider, 0, []string{"outcome: enriched"}},
		{"explain -c " + config + " --token " + file, 3, []string{"outcome: untrusted_token"}},
		{"explain -c " + config, 2, nil},
		{"inspect -c " + config + " --url " + w.jwksURL() + " " + file, 0, []string{"signed by: gateway", `"org_name":"Acme Inc"`, "accepts it"}},
		{"inspect -c " + config + " --url " + w.jwksURL() + " " + provider, 3, []string{"signed by: provider", "refuses it: the provider signed it"}},
		{"inspect -c " + config + " --json --url " + w.jwksURL() + " " + config, 1, nil},
	} {
		code, stdout, stderr := command(t, strings.Fields(tt.args)...)
		if code != tt.code {
			t.Errorf("%s: got exit code %d, want %d\n%s%s", tt.args, code, tt.code, stdout, stderr)
		}
		for _, want := range tt.says {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: %q isn't in\n%s%s", tt.args, want, stdout, stderr)
			}
		}
	}
}
