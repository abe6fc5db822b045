//go:build !noworkflow

package workflow

import (
	"context"
	"errors"
	"slices"

	"github.com/dop251/goja"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// trigger is the trigger of the workflows that run here.
const trigger = "m2m:token_generation"

// settings are what a file exports as workflowSettings.
type settings struct {
	id, name, trigger string
	policy            string   // schema.PolicyStop or schema.PolicyContinue, "" if the file doesn't say
	bindings          []string // sorted
}

// readSettings evaluates a bundle's top level, which has no event, and reads its
// settings. The bundle may call nothing that needs an event. The mistakes are what
// is wrong with the settings, apart from the trigger, and the error is why they
// can't be read.
func readSettings(p *program, env map[string]string, hidden *veil) (s settings, mistakes []mistake, err error) {
	vm := goja.New()
	t := newTurn(context.Background(), vm)
	if err := t.begin(); err != nil {
		return s, nil, err
	}
	defer t.close()
	m := newMachine(vm, p, t)
	(&console{vm: m.vm, veil: hidden}).install()
	absent := func(goja.FunctionCall) goja.Value {
		panic(m.vm.NewTypeError("there is no event yet; call it in the function that the file exports"))
	}
	none := &claims{vm: m.vm, check: func(string) error { return errors.New("there is no event yet") }}
	(&kinde{vm: m.vm, env: env, claims: none, fetch: absent}).install(declarable())
	_, err = m.protect(func() goja.Value {
		exports := m.evaluate(p)
		s, mistakes = settingsOf(m.vm, exports.Get("workflowSettings"))
		if call, _ := m.handler(exports); call == nil {
			mistakes = append(mistakes, mistake{text: noHandler})
		}
		return goja.Undefined()
	})
	if cause := t.stopped(); cause != nil {
		err = located(cause, err)
	}
	if err != nil {
		return s, nil, errors.New(hidden.line(m.describe(p.file, err)))
	}
	return s, mistakes, nil
}

// settingsOf reads workflowSettings.
func settingsOf(vm *goja.Runtime, v goja.Value) (s settings, mistakes []mistake) {
	o, ok := v.(*goja.Object)
	if !ok {
		return s, []mistake{mistakef("", "it must export workflowSettings, such as: export const workflowSettings = {id: \"claims\", trigger: %q}", trigger)}
	}
	read := func(name string) string {
		v := o.Get(name)
		if !given(v) {
			return ""
		}
		text, ok := v.(goja.String)
		if !ok || text.Length() > 1000 {
			mistakes = append(mistakes, mistakef(name, "workflowSettings.%s must be a text of at most 1000 characters", name))
			return ""
		}
		return text.String()
	}
	s.id, s.name, s.trigger = read("id"), read("name"), read("trigger")
	s.policy, ok = policyOf(vm, o.Get("failurePolicy"))
	if !ok {
		mistakes = append(mistakes, mistakef("failurePolicy", "workflowSettings.failurePolicy must be {action: %q} or {action: %q}", schema.PolicyStop, schema.PolicyContinue))
	}
	var wrong []mistake
	s.bindings, wrong = bindingsOf(o.Get("bindings"))
	return s, append(mistakes, wrong...)
}

// policyOf reads failurePolicy, such as {action: "stop"}, and reports whether it is
// one.
func policyOf(vm *goja.Runtime, v goja.Value) (action string, ok bool) {
	if !given(v) {
		return "", true
	}
	text, err := encode(vm, v, maxTexts)
	if err != nil {
		return "", false
	}
	o, err := splice.Parse(text)
	if err != nil {
		return "", false
	}
	action, _ = o.Text("action")
	return action, action == schema.PolicyStop || action == schema.PolicyContinue
}

// bindingsOf reads the names of bindings.
func bindingsOf(v goja.Value) (names []string, mistakes []mistake) {
	if !given(v) {
		return nil, nil
	}
	o, ok := v.(*goja.Object)
	if !ok {
		return nil, []mistake{mistakef("bindings", "workflowSettings.bindings must be an object, such as {\"kinde.m2mToken\": {}}")}
	}
	known := declarable()
	for _, name := range o.Keys() {
		if !slices.Contains(known, name) {
			mistakes = append(mistakes, mistakef(name, "workflowSettings.bindings: there is no binding %.50q%s", name, schema.DidYouMean(name, known)))
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, mistakes
}

// declarable are all bindings that a workflow may declare.
func declarable() []string {
	return slices.Concat([]string{bindingEnv, bindingFetch, bindingSecureFetch, bindingToken}, undeclared, elsewhere)
}
