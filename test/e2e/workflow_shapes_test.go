package e2e

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"m2m-token-enricher/test/idptest"
)

// shape is a repository with a workflow, as Kinde's users have it.
type shape struct {
	name   string
	config map[string]any // beside the workflow
	claims map[string]any
}

var shapes = []shape{
	{"starter", nil, map[string]any{"applicationId": client, "orgName": "Acme Inc", "orgCode": org}},
	{"tutorial", nil, map[string]any{"applicationId": client, "orgName": "Acme Inc", "orgCode": org}},
	{"corrected", map[string]any{"allow_authorization_claims": true}, map[string]any{"applicationId": client, "apiVersion": "v2", "permissions": "[read:orders write:orders]"}},
}

// TestWorkflowShapes: files of the published shapes run unmodified, and ask nobody.
func TestWorkflowShapes(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) { s.test(t, repository(t, s.name)) })
	}
}

// TestWorkflowShapesWithKindesLibrary: the same with the library that they import.
func TestWorkflowShapesWithKindesLibrary(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			dir := repository(t, s.name)
			addLibrary(t, dir)
			s.test(t, dir)
		})
	}
}

func (s shape) test(t *testing.T, dir string) {
	w := newWorld(t, func(c map[string]any) {
		delete(c, "claims")
		c["workflow"] = map[string]any{"path": dir}
		for name, value := range s.config {
			c[name] = value
		}
	})
	for range 2 { // the second time from the cache
		claims := w.issued(w.ask(form()))
		for name, want := range s.claims {
			if got := claims[name]; fmt.Sprint(got) != want {
				t.Errorf("got %s %v, want %v", name, got, want)
			}
		}
	}
	for _, path := range []string{"/api/v1/applications/" + client + "/properties", "/api/v1/organization", "/api/v1/organizations"} {
		if n := w.provider.Hits(path); n != 0 {
			t.Errorf("the provider got %d requests for %s, want none", n, path)
		}
	}
	if n := w.provider.Hits("/oauth2/token"); n != 2 {
		t.Errorf("the provider got %d token requests, want the clients' 2", n)
	}
}

// TestWorkflowOfTheBindingsPage: what can't work is reported when the configuration starts, with its place.
func TestWorkflowOfTheBindingsPage(t *testing.T) {
	w := newWorld(t, with(repository(t, "bindings")))
	w.refused(w.ask(form()), 500, "server_error", "internal_error")
	const at = "bindingsWorkflow.ts:"
	w.logs(at+"12:26", "event.context.application.clientId", at+"14:3", "allow_authorization_claims")
}

// TestWorkflowBesideClaims: both give claims, and neither replaces the other's.
func TestWorkflowBesideClaims(t *testing.T) {
	w := newWorld(t, func(c map[string]any) {
		c["workflow"] = map[string]any{"path": file(t, "", `claims.plan = kinde.m2mToken.getCustomClaims().org_code + "-gold";`)}
	})
	if claims := w.enriched(w.ask(form())); claims["plan"] != org+"-gold" || claims["org_name"] != "Acme Inc" {
		t.Errorf("got the claims %v, want the plan of %s and Acme Inc", claims, org)
	}
}

// TestWorkflowRunsForM2MTokensOnly: no other token reaches it.
func TestWorkflowRunsForM2MTokensOnly(t *testing.T) {
	w := newWorld(t, with(file(t, "", `console.log("it " + "ran");`)))
	token, err := w.provider.Sign(w.provider.Claims(client, []string{w.provider.ManagementAudience()}, nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{"client_credentials": fmt.Sprintf(` {"access_token":%q}`, token), "password": `{"access_token":"x"}`} {
		w.provider.Misbehave(idptest.Fault{Answer: func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, body) }})
		if a := w.ask(form("grant_type", name)); a.StatusCode != 200 || string(a.body) != body {
			t.Errorf("%s: got %d %s, want %s", name, a.StatusCode, a.body, body)
		}
	}
	w.provider.Misbehave(idptest.Fault{})
	if strings.Contains(w.gateway.Log(), "it ran") {
		t.Error("the workflow ran, want it to run for enriched tokens only")
	}
	w.issued(w.ask(form()))
	w.logs("it ran")
}

// TestWorkflowObserved: a file can be tried on live traffic. The client gets the provider's token.
func TestWorkflowObserved(t *testing.T) {
	path := file(t, "", `console.log("tried"); throw new Error("not " + "yet");`)
	for name, edit := range map[string]func(map[string]any){"mode": set("mode", "observe"), "enforce_share": set("enforce_share", 0)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, with(path, edit))
			w.raw(w.ask(form()))
			w.logs("tried", "outcome=workflow_failed", "not yet")
		})
	}
}

// TestWorkflowFailurePolicy: the file's own policy counts before the configuration's.
func TestWorkflowFailurePolicy(t *testing.T) {
	for _, test := range []struct {
		name, file, config string
		continues          bool
	}{
		{"neither", ``, "", false},
		{"the configuration's", ``, "continue", true},
		{"the file continues", `failurePolicy: {action: "continue"},`, "stop", true},
		{"the file stops", `failurePolicy: {action: "stop"},`, "continue", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, with(file(t, test.file, `claims.half = 1; throw new Error("no");`), func(c map[string]any) {
				if test.config != "" {
					c["failure_policy"] = test.config
				}
			}))
			a := w.ask(form())
			if test.continues {
				w.raw(a)
				w.unstored(a)
				return
			}
			w.refused(a, 500, "server_error", "workflow_failed")
		})
	}
}

const catchesAll = `
  claims.found = "nothing";
  try {
    const api = await createKindeAPI(event);
    const { data } = await api.get({ endpoint: "applications/" + id + "/properties" });
    const code = data.properties.find(p => p.key === "org_code").value;
    claims.found = (await api.get({ endpoint: "organization?code=" + code })).data.name;
  } catch (e) { console.log("caught"); }`

// TestWorkflowDuringAnOutage: a lookup that fails is "unknown", whatever the script makes of it.
func TestWorkflowDuringAnOutage(t *testing.T) {
	w := newWorld(t, with(file(t, `failurePolicy: {action: "continue"},`, catchesAll)))
	w.provider.Add("other", secret)
	w.record("app:other", "org_code", org)
	if claims := w.issued(w.ask(form())); claims["found"] != "Acme Inc" {
		t.Errorf("got the claims %v, want Acme Inc", claims)
	}
	w.redis.Stop()
	if claims := w.issued(w.ask(form())); claims["found"] != "Acme Inc" {
		t.Errorf("got the claims %v during the outage, want those of the cached records", claims)
	}
	w.refused(w.ask(form("client_id", "other")), 503, "temporarily_unavailable", "lookup_unavailable")
}

// TestWorkflowOfASuspendedOrganization: it gets no token, whatever the script makes of it.
func TestWorkflowOfASuspendedOrganization(t *testing.T) {
	w := newWorld(t, with(file(t, `failurePolicy: {action: "continue"},`, catchesAll)))
	w.provider.Add("other", secret)
	w.record("app:other", "org_code", "org_suspended")
	w.record("org:org_suspended", "code", "org_suspended", "name", "Gone", "is_suspended", "true")
	w.refused(w.ask(form("client_id", "other")), 400, "unauthorized_client", "suspended_organization")
	w.provider.Add("third", secret)
	w.record("app:third", "org_code", "org_none")
	w.refused(w.ask(form("client_id", "third")), 400, "unauthorized_client", "unknown_organization")
}

// TestWorkflowReload: what "kong reload" does picks up a changed file.
func TestWorkflowReload(t *testing.T) {
	path := file(t, "", `claims.version = 1;`)
	w := newWorld(t, with(path))
	g := w.standIn()
	if got := w.issued(w.ask(form()))["version"]; got != 1.0 {
		t.Errorf("got version %v, want 1", got)
	}
	write(t, path, "", `claims.version = 2;`)
	end, err := g.RestartPlugin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() error {
		if got := w.issued(w.ask(form()))["version"]; got != 2.0 {
			return fmt.Errorf("%w: version %v, want 2", errNotYet, got)
		}
		return nil
	})
}

// TestWorkflowAsksAnAllowedHost: over https, and no other host.
func TestWorkflowAsksAnAllowedHost(t *testing.T) {
	var asked atomic.Int64
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fmt.Fprintf(rw, `{"tier":%q}`, r.Header.Get("X-Key"))
	}))
	host.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	host.StartTLS()
	t.Cleanup(host.Close)
	w := build(t, nil)
	certificate := filepath.Join(openDir(t), "ca.pem")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: host.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	w.env = []string{"SSL_CERT_FILE=" + certificate}
	path := file(t, "", fmt.Sprintf(`
  const key = kinde.env.get("HOOK_KEY").value;
  const { data } = await fetch(%q, { method: "GET", responseFormat: "json", headers: { "X-Key": key } });
  claims.tier = data.tier;`, host.URL+"/tier"))
	allowed := func(hosts ...any) func(map[string]any) {
		return func(c map[string]any) {
			c["workflow"].(map[string]any)["allow_hosts"] = hosts
			c["workflow"].(map[string]any)["env"] = map[string]any{"HOOK_KEY": "gold"}
		}
	}
	w.edit = with(path, allowed(strings.TrimPrefix(host.URL, "https://")))
	w.start()
	if got := w.issued(w.ask(form()))["tier"]; got != "gold" {
		t.Errorf("got tier %v, want gold", got)
	}
	w.reload(with(path, allowed("api.example.com")))
	w.eventually(func() error {
		if a := w.ask(form()); a.StatusCode != http.StatusInternalServerError {
			return fmt.Errorf("%w: got %d, want workflow_failed", errNotYet, a.StatusCode)
		}
		return nil
	})
	before := asked.Load()
	w.refused(w.ask(form()), 500, "server_error", "workflow_failed")
	if asked.Load() != before {
		t.Errorf("the host got a request, want none")
	}
	w.logs("allow_hosts")
}
