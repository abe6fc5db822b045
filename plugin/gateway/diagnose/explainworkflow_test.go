//go:build !noworkflow

package diagnose

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

const regionWorkflow = `export const workflowSettings = {
	id: "region", name: "Region", trigger: "m2m:token_generation",
	failurePolicy: { action: "stop" }, bindings: { "kinde.m2mToken": {}, "kinde.fetch": {} },
};
export default async function (event) {
	const id = event.context.application.clientId;
	const answer = kinde.fetch(event.context.domains.kindeDomain + "/api/v1/applications/" + id + "/properties");
	const region = answer.json.properties.find((p) => p.key === "region");
	console.log("region of", id);
	kinde.m2mToken.setCustomClaim("place", { region: region.value });
}
`

// TestExplainWorkflow: an operator sees which workflow ran, what it read, printed and
// set, and check which file it is.
func TestExplainWorkflow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "regionWorkflow.js")
	if err := os.WriteFile(path, []byte(regionWorkflow), 0o644); err != nil {
		t.Fatal(err)
	}
	server := redistest.Start(t)
	cfg := explained(t, server, map[string]any{
		"claims":   []any{map[string]any{"name": "via", "value": "gateway"}},
		"workflow": map[string]any{"path": path},
	})
	x, err := Explain(t.Context(), cfg, "good", nil)
	if err != nil || x.Outcome != "enriched" {
		t.Fatalf("got %+v, %v, want enriched", x, err)
	}
	if w := x.Workflow; w == nil || w.ID != "region" || filepath.Base(w.File) != "regionWorkflow.js" || !slices.Equal(w.Sets, []string{"place"}) {
		t.Errorf("got the workflow %+v, want region, which sets place", w)
	}
	if !slices.Equal(x.Added, []string{"via", "place"}) || string(x.Claims["place"]) != `{"region":"eu"}` || !slices.Equal(x.Printed, []string{"region of good"}) {
		t.Errorf("got %v added, claims %s and printed %q", x.Added, x.Claims, x.Printed)
	}
	if want := []Lookup{{schema.Application, "good"}}; !reflect.DeepEqual(x.Read, want) || *x.Records[schema.Application]["org_code"] != "org_a" {
		t.Errorf("read %v and %v, want %v and all of its properties", x.Read, x.Records, want)
	}
	if x, err = Explain(t.Context(), cfg, "incomplete", nil); err != nil || x.Outcome != "workflow_failed" || !strings.Contains(x.Cause, "regionWorkflow.js:10:") || len(x.Printed) != 1 {
		t.Errorf("got %+v, %v, want workflow_failed with its place", x, err)
	}
	findings, err := Check(t.Context(), map[string]any{
		"issuer": "https://example.kinde.com", "jwks_uri": "http://127.0.0.1:1/jwks", "signing": map[string]any{"jwks_file": "/nonexistent/keys.json"},
		"redis": map[string]any{"host": "127.0.0.1", "port": float64(server.Port())}, "workflow": map[string]any{"path": path},
	})
	if err != nil || len(findings) < 2 || !strings.HasSuffix(findings[1].What, "regionWorkflow.js, id region, failure policy stop") {
		t.Errorf("got %+v, %v, want a finding for the workflow", findings, err)
	}
}
