package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/kongtest"
)

// planWorkflow is a repository's file in the form that Kinde runs.
const planWorkflow = `export const workflowSettings = {
	id: "plan", name: "Plan", trigger: "m2m:token_generation",
	failurePolicy: { action: "stop" },
	bindings: { "kinde.m2mToken": {}, "kinde.fetch": {}, "kinde.env": {} },
};

export default async function plan(event: any) {
	const domain = event.context.domains.kindeDomain;
	const id = event.context.application.clientId;
	const headers = { authorization: "Bearer " + kinde.env.get("API_KEY").value };
	const { properties } = kinde.fetch(domain + "/api/v1/applications/" + id + "/properties", { headers }).json;
	const code = properties.find((p: any) => p.key === "org_code")?.value;
	if (!code) throw new Error("no organization for " + id);
	const organization = kinde.fetch(domain + "/api/v1/organization?code=" + code, { headers }).json;
	console.log("organization", organization.code, "by", headers.authorization, "from", event.request.ip);
	kinde.m2mToken.setCustomClaim("applicationId", id);
	kinde.m2mToken.setCustomClaim("orgName", organization.name);
}
`

// workflowRepository is a folder that Kong's user can read, with a file.
func workflowRepository(t *testing.T, text string) (folder, file string) {
	t.Helper()
	folder = openDir(t)
	file = filepath.Join(folder, "planWorkflow.ts")
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o644), kongtest.GiveToWorkers(file)); err != nil {
		t.Fatal(err)
	}
	return folder, file
}

// TestWorkflow: the claims of a workflow are in the token, beside those that are
// mapped. What it prints is in Kong's log without the values of env.
func TestWorkflow(t *testing.T) {
	t.Setenv("M2M_E2E_API_KEY", "hunter2")
	folder, _ := workflowRepository(t, planWorkflow)
	w := newWorld(t, func(c map[string]any) {
		c["claims"] = []any{map[string]any{"name": "org_code", "from": "organization.code"}}
		c["workflow"] = map[string]any{"path": folder, "env": map[string]any{"API_KEY": "{vault://env/m2m-e2e-api-key}"}}
	})
	got := w.enriched(w.ask(form()))
	for name, want := range map[string]string{"org_code": org, "applicationId": client, "orgName": "Acme Inc"} {
		if got[name] != want {
			t.Errorf("the claim %s is %v, want %s", name, got[name], want)
		}
	}
	want := `workflow client="` + client + `" printed="organization ` + org + ` by Bearer [secret] from 127.0.0.1"`
	await.True(t, "the printed line", func() bool { return strings.Contains(w.gateway.Log(), want) })
	if log := w.gateway.Log(); strings.Contains(log, "hunter2") || !strings.Contains(log, `workflow_id="plan"`) {
		t.Errorf("the log has a value of env, or doesn't name the workflow")
	}

	w.provider.Add("nobody", secret)
	w.record("app:nobody", "region", "eu")
	w.refused(w.ask(form("client_id", "nobody")), 400, "unauthorized_client", "missing_property")
}

// TestWorkflowAlone: a workflow stands instead of claims. A suspended organization stops
// the token when the workflow reads it, and the workflow's own error does.
func TestWorkflowAlone(t *testing.T) {
	_, file := workflowRepository(t, planWorkflow)
	w := newWorld(t, func(c map[string]any) {
		delete(c, "claims")
		c["workflow"] = map[string]any{"path": file, "env": map[string]any{"API_KEY": "hunter2"}}
	})
	if got := w.issued(w.ask(form())); got["orgName"] != "Acme Inc" || got["org_code"] != nil {
		t.Errorf("got the claims %v, want orgName alone", got)
	}
	w.provider.Add("suspended", secret)
	w.record("app:suspended", "org_code", "org_s")
	w.record("org:org_s", "code", "org_s", "name", "S", "is_suspended", "true")
	w.refused(w.ask(form("client_id", "suspended")), 400, "unauthorized_client", "suspended_organization")
	w.provider.Add("nobody", secret)
	w.record("app:nobody", "region", "eu")
	w.refused(w.ask(form("client_id", "nobody")), 500, "server_error", "workflow_failed")
	if log := w.gateway.Log(); !strings.Contains(log, "no organization for nobody") || !strings.Contains(log, "planWorkflow.ts:13:") {
		t.Error("the log has no cause with its place")
	}
}

// TestWorkflowWithErrors: Kong stays up, and its log has each error in the file.
func TestWorkflowWithErrors(t *testing.T) {
	folder, _ := workflowRepository(t, strings.NewReplacer(`"stop"`, `"retry"`, `"kinde.fetch"`, `"kinde.fetsh"`).Replace(planWorkflow))
	w := newWorld(t, func(c map[string]any) { c["workflow"] = map[string]any{"path": folder} })
	w.refused(w.ask(form()), 500, "server_error", "internal_error")
	log := w.gateway.Log()
	for _, want := range []string{"config.workflow.path: ", "planWorkflow.ts:3:", "planWorkflow.ts:4:"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s", want)
		}
	}
	if strings.Contains(log, "panic") {
		t.Error("the plugin panicked")
	}
}
