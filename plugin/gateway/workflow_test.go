//go:build !noworkflow

package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
)

// workflowFile is a file with a workflow that has body.
func workflowFile(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "planWorkflow.ts")
	text := `export const workflowSettings = {
	id: "plan", name: "Plan", trigger: "m2m:token_generation",
	failurePolicy: { action: "stop" }, bindings: { "kinde.m2mToken": {} },
};
export default async function (event: any) {
` + body + "\n}\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWorkflow: a gateway opens its workflow, hands it to the decision and says which
// file serves.
func TestWorkflow(t *testing.T) {
	cfg := config(t, keyFile(t, generated(t)))
	without := open(t, cfg, Options{})
	if _, ok := without.Workflow(); ok || without.ReadsIP() || without.Dependencies().Workflow != nil {
		t.Error("a gateway without a workflow has one")
	}
	cfg.Workflow.Path = workflowFile(t, `	kinde.m2mToken.setCustomClaim("plan", "gold");`)
	g := open(t, cfg, Options{})
	if _, err := g.Keys.Ring(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, ok := g.Workflow()
	if !ok || info.ID != "plan" || !g.ReadsIP() || g.Dependencies().Workflow.Policy() != schema.PolicyStop {
		t.Errorf("got %+v, %t, want the workflow plan with its policy", info, ok)
	}
	if news := g.News(); !strings.Contains(news, "planWorkflow.ts") || !strings.Contains(news, ` workflow_id="plan"`) {
		t.Errorf("%s doesn't name the workflow", news)
	}
}

// TestWorkflowErrors: each error in the file comes with the field and its place.
func TestWorkflowErrors(t *testing.T) {
	cfg := config(t, "/nonexistent/keys.json")
	cfg.Workflow.Path = workflowFile(t, "")
	text, err := os.ReadFile(cfg.Workflow.Path)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.NewReplacer(`"stop"`, `"retry"`, `"kinde.m2mToken"`, `"kinde.m2mTokens"`).Replace(string(text))
	if err := os.WriteFile(cfg.Workflow.Path, []byte(wrong), 0o644); err != nil {
		t.Fatal(err)
	}
	g, err := Open(cfg, Options{})
	if errs := schema.Split(err); g != nil || len(errs) != 2 {
		t.Fatalf("got %d errors, want 2 and no gateway: %v", len(errs), err)
	}
	for _, one := range schema.Split(err) {
		if text := one.Error(); !strings.HasPrefix(text, "config.workflow.path: ") || !strings.Contains(text, "planWorkflow.ts:3:") {
			t.Errorf("got %v, want the field and the line", one)
		}
	}
	cfg.Workflow.Path = "/nonexistent/workflow"
	if _, err := Open(cfg, Options{}); err == nil || !strings.HasPrefix(err.Error(), "config.workflow.path: ") {
		t.Errorf("got %v, want an error at config.workflow.path", err)
	}
}
