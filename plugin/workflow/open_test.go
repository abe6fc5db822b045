//go:build !noworkflow

package workflow

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
)

// repository writes files below a new folder.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, text := range files {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func options(path string) Options {
	return Options{Path: path, Domain: tenant, CheckClaim: reserved}
}

const typescript = `export const workflowSettings = {
	id: "plans",
	name: "Plans in tokens",
	trigger: "m2m:token_generation",
	failurePolicy: {action: "continue"},
	bindings: {"kinde.m2mToken": {}, "kinde.fetch": {}, url: {}},
};

type Answer = { json: { properties: { key: string; value: string }[] } };

export default async function plans(event: { context: { application: { clientId: string }, domains: { kindeDomain: string } } }) {
	const id: string = event.context.application.clientId;
	const answer: Answer = kinde.fetch(event.context.domains.kindeDomain + "/api/v1/applications/" + id + "/properties", {});
	const plan = answer.json.properties.find((p) => p.key === "plan");
	if (!plan) throw new Error("no plan");
	kinde.m2mToken.setCustomClaim("plan", plan.value);
}
`

// TestOpen: a file in TypeScript, found in its repository by its trigger. Files of
// other triggers may be broken.
func TestOpen(t *testing.T) {
	top := repository(t, map[string]string{
		"kinde.json": `{"version": "2024-12-09", "rootDir": "src"}`,
		"src/environment/workflows/plans/plansWorkflow.ts": typescript,
		"src/environment/workflows/user/userWorkflow.ts":   strings.Replace(typescript, "m2m:token_generation", "user:tokens_generation", 1),
		"src/environment/workflows/plans/notes.ts":         "this is no code",
		"src/environment/workflows/pre/brokenWorkflow.ts":  "this is no code",
		"src/environment/workflows/pre/packageWorkflow.ts": `import { decode } from "not-installed"; export const workflowSettings = {id: decode("x"), trigger: "user:pre_mfa"}; export default () => {};`,
	})
	w, err := Open(options(top))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	info := w.Info()
	if info.ID != "plans" || info.Name != "Plans in tokens" || !slices.Equal(info.Bindings, []string{"kinde.fetch", "kinde.m2mToken", "url"}) || filepath.Base(info.File) != "plansWorkflow.ts" {
		t.Errorf("got %+v", info)
	}
	if got := w.Policy(); got != schema.PolicyContinue || info.Policy != got {
		t.Errorf("got the policies %q and %q, want %q", got, info.Policy, schema.PolicyContinue)
	}
	if info.Size < len(typescript)/2 || info.Size > 10*len(typescript) {
		t.Errorf("got the size %d, want about %d", info.Size, len(typescript))
	}
	if got, _, err := run(t, w); err != nil || got != `{"plan":"gold"}` {
		t.Errorf("got %s, %v, want the plan", got, err)
	}
	_, _, err = w.Run(t.Context(), event, nil, func(schema.Kind) (string, schema.Record, error) { return "app_1", schema.Record{}, nil })
	if err == nil || !strings.HasSuffix(err.Error(), "plansWorkflow.ts:15:18: no plan") {
		t.Errorf("got the error %v, want the place in the original file", err)
	}
}

// TestDigest: it is the same only for the same code, imports included.
func TestDigest(t *testing.T) {
	digest := func(plan string) [32]byte {
		t.Helper()
		w, err := Open(options(repository(t, map[string]string{
			"kinde.json": `{"version": "2024-12-09", "rootDir": "src"}`,
			"src/environment/workflows/plans/plansWorkflow.ts": `import { plan } from "./plan"; export const workflowSettings = {id: "plans", trigger: "m2m:token_generation", bindings: {"kinde.m2mToken": {}}};
export default async function () { kinde.m2mToken.setCustomClaim("plan", plan); }`,
			"src/environment/workflows/plans/plan.ts": `export const plan = "` + plan + `";`,
		})))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		return w.Digest()
	}
	gold := digest("gold")
	if gold != digest("gold") {
		t.Error("two digests of the same code differ")
	}
	if gold == digest("silver") {
		t.Error("code with another import has the same digest")
	}
}

// TestOpenRefuses: each error says where it is, and what is right.
func TestOpenRefuses(t *testing.T) {
	for name, row := range map[string]struct{ from, to, want string }{
		"another trigger":   {"m2m:token_generation", "user:post_authentication", `Workflow.ts:4:2: the trigger is "user:post_authentication", and only workflows with "m2m:token_generation" run here`},
		"no trigger":        {`trigger: "m2m:token_generation",`, ``, `Workflow.ts: the trigger is "", and only`},
		"no settings":       {"workflowSettings", "settings", "Workflow.ts: it must export workflowSettings"},
		"no function":       {"export default async function", "export async function", "Workflow.ts: it must export a function as its default"},
		"another policy":    {`action: "continue"`, `action: "retry"`, `Workflow.ts:5:2: workflowSettings.failurePolicy must be {action: "stop"} or {action: "continue"}`},
		"a binding":         {`"kinde.fetch"`, `"kinde.fetsh"`, `Workflow.ts:6:36: workflowSettings.bindings: there is no binding "kinde.fetsh"; did you mean "kinde.fetch"?`},
		"an id that isn't":  {`id: "plans"`, `id: 7`, "Workflow.ts:2:2: workflowSettings.id must be a text"},
		"an error at once":  {"type Answer", "null.x;\ntype Answer", "Workflow.ts:9:5: TypeError: Cannot read property 'x' of undefined"},
		"an event too soon": {"type Answer", `kinde.fetch("x");` + "\ntype Answer", "Workflow.ts:9:12: TypeError: there is no event yet"},
		"a reserved claim":  {`setCustomClaim("plan"`, `setCustomClaim("sub"`, `Workflow.ts:16:32: `},
		"a loop at once":    {"type Answer", "while (true);\ntype Answer", "it computed for 500ms"},
	} {
		t.Run(name, func(t *testing.T) {
			top := repository(t, map[string]string{"plansWorkflow.ts": strings.Replace(typescript, row.from, row.to, 1)})
			w, err := Open(options(filepath.Join(top, "plansWorkflow.ts")))
			if err == nil {
				w.Close()
				t.Fatal("Open accepted it")
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %q, want %q", err, row.want)
			}
		})
	}
}

// TestOpenChooses: exactly one file must have the trigger.
func TestOpenChooses(t *testing.T) {
	top := repository(t, map[string]string{"aWorkflow.ts": typescript, "bWorkflow.ts": typescript})
	if _, err := Open(options(top)); err == nil || !strings.Contains(err.Error(), "2 workflows") || !strings.Contains(err.Error(), "bWorkflow.ts") {
		t.Errorf("got %v, want both files", err)
	}
}

// TestOpenReportsUnreadFiles: without a workflow of this trigger, a file that can't
// be read may be the one.
func TestOpenReportsUnreadFiles(t *testing.T) {
	other := strings.Replace(typescript, "m2m:token_generation", "user:tokens_generation", 1)
	top := repository(t, map[string]string{"aWorkflow.ts": "this is no code", "bWorkflow.ts": other})
	_, err := Open(options(top))
	if err == nil || !strings.Contains(err.Error(), "aWorkflow.ts:1:") || !strings.Contains(err.Error(), `bWorkflow.ts:4:2: the trigger is "user:tokens_generation"`) {
		t.Errorf("got %v, want what is wrong with both files", err)
	}
	top = repository(t, map[string]string{"aWorkflow.ts": typescript, "bWorkflow.ts": strings.Replace(typescript, `id: "plans"`, "id: 7", 1)})
	if _, err := Open(options(top)); err == nil || !strings.Contains(err.Error(), "workflowSettings.id must be a text") {
		t.Errorf("got %v, want the mistake in a second file of this trigger", err)
	}
}

// TestFailureNamesTheFile: an error names the file as it is called, however a URL
// would write it.
func TestFailureNamesTheFile(t *testing.T) {
	file := filepath.Join(repository(t, map[string]string{"my plans 100%/größe (1) %25#Workflow.ts": strings.Replace(typescript, `"plan"`, `"none"`, 1)}), "my plans 100%", "größe (1) %25#Workflow.ts")
	w, err := Open(options(file))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_, _, err = run(t, w)
	if want := file + ":15:18: no plan"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestFailureNamesTheOwnCode: an error in a function of the library is placed where the
// workflow's file calls it. So is one that ends the event there.
func TestFailureNamesTheOwnCode(t *testing.T) {
	const file = `import { createKindeAPI, m2mTokenClaims } from "@kinde/infrastructure";
export const workflowSettings = {id: "own", trigger: "m2m:token_generation", bindings: {"kinde.m2mToken": {}, "kinde.env": {}, "kinde.fetch": {}, url: {}}};
export default async function own(event) {
	const api = await createKindeAPI(event);
	const {data} = await api.get({endpoint: "applications/app_1"});
	BODY
}
`
	for body, want := range map[string]string{
		`await api.get({endpoint: "organizations/other/properties"})`: "6:15: kinde.fetch: ",
		`m2mTokenClaims().plan = () => 1`:                             `6:18: setCustomClaim: the claim "plan"`,
		`m2mTokenClaims().plan = {toJSON() { for (;;); }}`:            "6:",
	} {
		path := filepath.Join(repository(t, map[string]string{"ownWorkflow.ts": strings.Replace(file, "BODY", body, 1)}), "ownWorkflow.ts")
		w, err := Open(options(path))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := run(t, w); err == nil || !strings.HasPrefix(err.Error(), path+":"+want) {
			t.Errorf("%s: got %v, want %s:%s…", body, err, path, want)
		}
		w.Close()
	}
}

// TestTopLevelFailureOfPackageIsPlaced: where the workflow imports it, not in what
// esbuild puts around it. Patterns as long as lodash's are fine.
func TestTopLevelFailureOfPackageIsPlaced(t *testing.T) {
	for n, want := range map[string]string{"2000": "", "9000": "claimsWorkflow.ts:9:"} {
		top := repository(t, map[string]string{
			"package.json":                   "{}",
			"claimsWorkflow.ts":              strings.Replace(typescript, "type Answer", "import \"patterns\"\ntype Answer", 1),
			"node_modules/patterns/index.js": "\nmodule.exports = RegExp('x'.repeat(" + n + "));",
		})
		w, err := Open(options(top))
		if err == nil {
			w.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("a pattern of %s characters: got %v, want %q", n, err, want)
		}
	}
}
