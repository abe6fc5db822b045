//go:build !noworkflow

package workflow

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/dop251/goja"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/plugin/workflow/fetch"
)

// Workflow is an opened workflow. It implements [enrich.Workflow].
type Workflow struct {
	program  *program
	settings settings
	env      map[string]string
	check    func(name string) error
	client   *fetch.Client
	veil     *veil
}

var _ enrich.Workflow = (*Workflow)(nil)

// Run calls the workflow for one event in a new virtual machine. It implements
// [enrich.Workflow].
func (w *Workflow) Run(ctx context.Context, event enrich.Event, given []splice.Member, related enrich.Related) ([]splice.Member, []string, error) {
	vm := goja.New()
	t := newTurn(ctx, vm)
	if err := t.begin(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", w.program.file, err)
	}
	defer t.close()
	m := newMachine(vm, w.program, t)
	set := &claims{vm: m.vm, check: w.check, given: given}
	out := w.surround(m, set, (&requests{vm: m.vm, turn: t, client: w.client, clientID: event.ClientID, related: related}).fetch)
	result, err := m.protect(func() goja.Value {
		call, on := m.handler(m.evaluate(w.program))
		if call == nil {
			panic(m.vm.NewTypeError(noHandler))
		}
		return call(goja.FunctionCall{This: on, Arguments: []goja.Value{newEvent(m.vm, event)}})
	})
	if err == nil {
		err = settled(result)
	}
	if cause := t.stopped(); cause != nil {
		err = located(cause, err)
	}
	if err != nil {
		return nil, out.lines, errors.New(w.veil.line(m.describe(w.program.file, err)))
	}
	return set.set, out.lines, nil
}

// Supported returns nil: this binary has workflows.
func Supported() error { return nil }

// Policy implements [enrich.Workflow].
func (w *Workflow) Policy() string { return w.settings.policy }

// Info describes the workflow.
func (w *Workflow) Info() Info {
	return Info{
		File: w.program.file, ID: w.settings.id, Name: w.settings.name, Bindings: w.settings.bindings,
		Policy: w.settings.policy, Size: len(w.program.text),
	}
}

// Digest is the same for workflows whose bundled programs are the same: the file with
// all that it imports.
func (w *Workflow) Digest() [sha256.Size]byte { return sha256.Sum256([]byte(w.program.text)) }

// Close closes connections that are idle. Events that run still end.
func (w *Workflow) Close() { w.client.Close() }

const noHandler = "it must export a function as its default, such as: export default async function (event) {}"

// surround puts what a workflow can call into the virtual machine. It returns where
// console prints.
func (w *Workflow) surround(m *machine, set *claims, fetch native) *console {
	out := &console{vm: m.vm, veil: w.veil}
	if w.program.named["console"] {
		out.install()
	}
	(&kinde{vm: m.vm, env: w.env, claims: set, fetch: fetch}).install(w.settings.bindings)
	return out
}

// newEvent returns what Kinde gives to a workflow of this trigger, and nothing else.
func newEvent(vm *goja.Runtime, e enrich.Event) goja.Value {
	object := func(name string, value any) *goja.Object {
		o := vm.NewObject()
		_ = o.Set(name, value)
		return o
	}
	list := func(texts []string) *goja.Object {
		elements := make([]any, len(texts))
		for i, s := range texts {
			elements[i] = s
		}
		return vm.NewArray(elements...)
	}
	auth := object("audience", list(e.Audience))
	_ = auth.Set("scope", list(e.Scope))
	request := object("auth", auth)
	_ = request.Set("ip", e.IP)
	context := object("domains", object("kindeDomain", e.Domain))
	_ = context.Set("application", object("clientId", e.ClientID))
	_ = context.Set("workflow", object("trigger", trigger))
	event := object("request", request)
	_ = event.Set("context", context)
	return event
}

// settled returns the error that a workflow's result is, nil if there is none.
func settled(result goja.Value) error {
	if result == nil {
		return nil
	}
	if result.ExportType() != promiseType {
		return nil
	}
	promise := result.Export().(*goja.Promise)
	switch promise.State() {
	case goja.PromiseStatePending:
		return errors.New("its promise never settles: it awaits something that nothing resolves")
	case goja.PromiseStateRejected:
		return &rejection{promise.Result()}
	}
	return nil
}
