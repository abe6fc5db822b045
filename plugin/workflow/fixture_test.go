//go:build !noworkflow

package workflow

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dop251/goja"
	"go.uber.org/goleak"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/plugin/workflow/fetch"
	"m2m-token-enricher/schema"
)

func TestMain(m *testing.M) {
	// The clock of regular expressions ends a second after the last one.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/dlclark/regexp2/v2.runClock"), goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock"))
}

const tenant = "https://example.kinde.com"

// event is the event of most tests.
var event = enrich.Event{
	Audience: []string{"https://api.example.com"}, Scope: []string{"read", "write"},
	IP: "203.0.113.7", Domain: tenant, ClientID: "app_1",
}

// records answer what belongs to event's application.
func records(kind schema.Kind) (string, schema.Record, error) {
	switch kind {
	case schema.Application:
		return "app_1", schema.Record{"org_code": "org_1", "plan": "gold"}, nil
	case schema.Organization:
		return "org_1", schema.Record{"code": "org_1", "name": "Acme"}, nil
	}
	return "", nil, nil
}

// known are all bindings of this trigger.
var known = []string{bindingEnv, bindingFetch, bindingToken}

// opened returns a workflow of a bundle, as esbuild would make it.
func opened(t testing.TB, bundle string) *Workflow {
	t.Helper()
	compiled, err := goja.Compile("workflow.js", bundle, false)
	if err != nil {
		t.Fatal(err)
	}
	w := &Workflow{
		program:  newProgram("workflow.js", bundle, compiled),
		settings: settings{id: "test", trigger: trigger, bindings: known},
		check:    func(name string) error { return reserved(name) },
		client:   fetch.New(tenant, nil, nil),
		veil:     newVeil(nil),
	}
	t.Cleanup(w.Close)
	return w
}

func reserved(name string) error {
	if slices.Contains([]string{"sub", "iss", "aud", "exp", "scope"}, name) {
		return errors.New("the claim " + name + " is reserved")
	}
	return nil
}

// handler is a bundle whose function has body.
func handler(body string) string {
	return "module.exports.default = async function (event) {\n" + body + "\n};"
}

// run runs w for event within a few seconds.
func run(t testing.TB, w *Workflow, given ...splice.Member) (claims, printed string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	set, lines, err := w.Run(ctx, event, given, records)
	return written(set), strings.Join(lines, "\n"), err
}

// written writes claims as one JSON object.
func written(set []splice.Member) string {
	o, err := splice.Parse([]byte("{}"))
	if err != nil {
		panic(err)
	}
	return string(o.With(set...))
}

// claims returns the claims that a workflow with body sets.
func claimsOf(t testing.TB, body string) string {
	t.Helper()
	set, _, err := run(t, opened(t, handler(body)))
	if err != nil {
		t.Fatalf("Run of %s: %v", body, err)
	}
	return set
}

// failureOf returns the error of a workflow with body.
func failureOf(t testing.TB, body string) string {
	t.Helper()
	set, _, err := run(t, opened(t, handler(body)))
	if err == nil {
		t.Fatalf("Run of %s: got the claims %s, want an error", body, set)
	}
	if set != "{}" {
		t.Errorf("Run of %s: got the claims %s beside an error, want none", body, set)
	}
	return err.Error()
}
