package test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/workflow"
	requests "m2m-token-enricher/plugin/workflow/fetch"
	"m2m-token-enricher/schema"
)

const workflowsPage = "docs/workflows.md"

// TestWorkflowsPage: the commands work, with the demo's repository for the reader's.
// TestDemoUp runs what make demo-up prints.
func TestWorkflowsPage(t *testing.T) {
	repository, err := filepath.Abs("demo/workflow")
	if err != nil {
		t.Fatal(err)
	}
	out := runPage(t, workflowsPage, 0, strings.NewReplacer("/path/to/your/repository", repository,
		"make build-static", "echo make build-static", "make demo-up", "echo make demo-up"))
	contains(t, workflowsPage, out, "make demo-up WORKFLOW="+repository, "id: customer", "printed: the customer is Acme Inc", `+ org_name: "Acme Inc"`)
	contains(t, "Makefile", read(t, "Makefile"), "\nbuild-static:", "$(WORKFLOW)")
}

// TestWorkflowsPageConfigurations: the configurations on the page are valid.
func TestWorkflowsPageConfigurations(t *testing.T) {
	blocks := strings.Split(read(t, workflowsPage), "\n```yaml\n")[1:]
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "\n```")
		given := struct{ Config map[string]any }{map[string]any{
			"issuer": "https://example.kinde.com", "signing": map[string]any{"jwks_file": "/keys.json"}, "redis": map[string]any{"host": "redis"},
		}}
		into := any(&given)
		if !strings.HasPrefix(text, "config:") {
			into = &given.Config
		}
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
		if _, err := schema.Parse(given.Config); err != nil {
			t.Errorf("block %d: %v", i, err)
		}
	}
	if len(blocks) == 0 {
		t.Error("the page has no configuration")
	}
}

// TestWorkflowsPageEndpoints: the page lists the endpoints that the records answer.
func TestWorkflowsPageEndpoints(t *testing.T) {
	_, err := requests.New("https://example.kinde.com", nil, nil).Do(t.Context(), requests.Request{URL: "https://example.kinde.com/none"}, "app", nil)
	_, list, ok := strings.Cut(fmt.Sprint(err), "answered are ")
	if !ok {
		t.Fatalf("got the error %v, want a list", err)
	}
	var shown []string
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:GET|POST) .*?)` \\|").FindAllStringSubmatch(read(t, workflowsPage), -1) {
		shown = append(shown, m[1])
	}
	slices.Sort(shown)
	expect(t, "endpoints on the page", shown, strings.Split(list, ", "))
}

// TestWorkflowsPageLimits: the limits on the page are those of the code.
func TestWorkflowsPageLimits(t *testing.T) {
	for shown, limit := range map[string][2]string{
		"| 500 ms |":            {"plugin/workflow/limits.go", `maxComputing = 500 \* time\.Millisecond`},
		"| 2000 |":              {"plugin/workflow/limits.go", `maxCalls += 2000 `},
		"| 1,048,576 |":         {"plugin/workflow/limits.go", `maxText += 1 << 20`},
		"| 100,000 |":           {"plugin/workflow/limits.go", `maxList += 100_000`},
		"| 64 KiB |":            {"plugin/workflow/limits.go", `maxTexts += 64 << 10`},
		"| 128 MiB |":           {"plugin/workflow/memory.go", `maxGrowth = 128 << 20`},
		"| 1 MiB |":             {"plugin/workflow/bundle/bundle.go", `maxOutput = 1 << 20`},
		"has at most\n256 KiB.": {"plugin/workflow/fetch/fetch.go", `maxAnswer += 256 << 10`},
	} {
		contains(t, workflowsPage, strings.ReplaceAll(read(t, workflowsPage), "at most 256", "at most\n256"), shown)
		match(t, limit[0], "("+limit[1]+")")
	}
	contains(t, workflowsPage, strings.Join(strings.Fields(read(t, workflowsPage)), " "),
		fmt.Sprintf("%d lines of %d bytes", enrich.MaxPrinted, enrich.MaxPrintedLine), fmt.Sprintf("%d claims", schema.MaxClaims))
}

// calls are how a workflow calls the names of the library that need arguments.
var calls = map[string]string{
	"createKindeAPI":         "createKindeAPI(event)",
	"fetch":                  "fetch(domain + '/api/v1/organizations', { method: 'GET', headers: {} })",
	"secureFetch":            "secureFetch(domain, { method: 'GET', headers: {} })",
	"getEnvironmentVariable": "getEnvironmentVariable('A')",
	"getM2MToken":            "getM2MToken('a', { domain, clientId: 'a', clientSecret: 'b', audience: [] })",
}

// TestWorkflowsPageNames: the page lists each name of the library, and says of each
// whether it works.
func TestWorkflowsPageNames(t *testing.T) {
	rows := tableRows(t, "| name of `@kinde/infrastructure` | here |")
	var imports, body []string
	want := map[string]string{}
	for _, row := range rows {
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[0], -1) {
			imports = append(imports, name[1])
			call := calls[name[1]]
			if call == "" {
				call = fmt.Sprintf("(typeof %[1]s === 'function' ? %[1]s('a', 'b') : %[1]s)", name[1])
			}
			body = append(body, fmt.Sprintf("try { const v: any = await %s; console.log('%s', v === undefined ? 'nothing' : 'works') } catch { console.log('%s', 'throws') }", call, name[1], name[1]))
			want[name[1]] = strings.TrimSuffix(strings.TrimRight(strings.Fields(row[1])[0], ".,:"), "s")
		}
	}
	got := map[string]string{}
	for _, line := range runWorkflow(t, "import { "+strings.Join(imports, ", ")+" } from '@kinde/infrastructure'", strings.Join(body, "\n")) {
		name, result, _ := strings.Cut(line, " ")
		got[name] = strings.TrimSuffix(result, "s")
	}
	expect(t, "names of the library", got, want)
	for _, name := range regexp.MustCompile(`(?m)^export const (\w+)`).FindAllStringSubmatch(read(t, "plugin/workflow/bundle/library.js"), -1) {
		if forPages := regexp.MustCompile(`^get(Kinde|\w+Url$)`).MatchString(name[1]); want[name[1]] == "" && !forPages {
			t.Errorf("%s isn't on the page", name[1])
		}
	}
}

// TestWorkflowsPageBindings: each binding on the page can be declared, and those that
// throw do.
func TestWorkflowsPageBindings(t *testing.T) {
	var body []string
	want := map[string]bool{}
	for _, row := range tableRows(t, "| binding | here |") {
		for _, name := range regexp.MustCompile("`([\\w.]+)`").FindAllStringSubmatch(row[0], -1) {
			want[name[1]] = strings.HasPrefix(row[1], "work")
			call := name[1]
			if strings.HasPrefix(call, "kinde.") && !want[call] && call != "kinde.secureFetch" {
				call += ".any"
			}
			if !want[name[1]] {
				call += "('a')"
			}
			body = append(body, fmt.Sprintf("try { const v: any = %s; console.log('%s', v !== undefined) } catch { console.log('%s', false) }", call, name[1], name[1]))
		}
	}
	got := map[string]bool{}
	for _, line := range runWorkflow(t, "declare const kinde: any, url: any, util: any", strings.Join(body, "\n"), slices.Collect(maps.Keys(want))...) {
		name, works, _ := strings.Cut(line, " ")
		got[name] = works == "true"
	}
	expect(t, "bindings", got, want)
}

// tableRows returns the two cells of each row of the page's table with head.
func tableRows(t *testing.T, head string) (rows [][2]string) {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, workflowsPage), "\n"+head+"\n|---|---|\n")
	if !ok {
		t.Fatalf("%s has no table %s", workflowsPage, head)
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	for _, line := range strings.Split(table, "\n") {
		left, right, _ := strings.Cut(strings.Trim(line, "| "), " | ")
		rows = append(rows, [2]string{left, right})
	}
	return rows
}

// runWorkflow returns what a workflow with body prints. It declares bindings, or all
// that the library's functions need.
func runWorkflow(t *testing.T, head, body string, bindings ...string) []string {
	t.Helper()
	if bindings == nil {
		for _, name := range strings.Fields("m2mToken env fetch secureFetch idToken accessToken auth mfa localization widget plan") {
			bindings = append(bindings, "kinde."+name)
		}
	}
	file := filepath.Join(t.TempDir(), "pageWorkflow.ts")
	text := fmt.Sprintf("%s\nexport const workflowSettings = { id: 'page', trigger: 'm2m:token_generation', bindings: { '%s': {} } }\n"+
		"export default async function (event: any) {\nconst domain = event.context.domains.kindeDomain\n%s\n}\n", head, strings.Join(bindings, "': {}, '"), body)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := workflow.Open(workflow.Options{
		Path: file, Env: map[string]string{"A": "value of the variable"}, Domain: "https://example.kinde.com",
		CheckClaim: func(string) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	related := func(kind schema.Kind) (string, schema.Record, error) {
		if kind == schema.Application {
			return "app", schema.Record{"org_code": "org"}, nil
		}
		return "", nil, nil
	}
	event := enrich.Event{Audience: []string{}, Scope: []string{}, Domain: "https://example.kinde.com", ClientID: "app"}
	_, printed, err := w.Run(t.Context(), event, nil, related)
	if err != nil {
		t.Fatal(errors.Join(err, fmt.Errorf("of:\n%s", text)))
	}
	return printed
}
