//go:build !noworkflow

package workflow

import (
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja_nodejs/util"
)

// machine is a virtual machine for one evaluation of a bundle. It is never used
// again.
type machine struct {
	vm      *goja.Runtime
	exports *goja.Object // of module, before the bundle is evaluated
	module  *goja.Object
}

// newMachine makes a machine of a new virtual one, with what every workflow has. Its
// bounds and names are those that program's text can name.
func newMachine(vm *goja.Runtime, p *program, t *turn) *machine {
	vm.SetMaxCallStackSize(maxCalls)
	b := &bounds{vm: vm, stopped: t.stopped}
	b.install(p.bounds)
	m := &machine{vm: vm, exports: vm.NewObject(), module: vm.NewObject()}
	_ = m.module.Set("exports", m.exports)
	_ = vm.Set("module", m.module)
	_ = vm.Set("exports", m.exports)
	if p.named["url"] || p.named["URL"] {
		module := newURL(b, p.url, p.params)
		_ = vm.Set("url", module)
		for _, name := range module.Keys() {
			if strings.HasPrefix(name, "URL") {
				_ = vm.Set(name, module.Get(name))
			}
		}
	}
	if p.named["util"] {
		_ = vm.Set("util", load(vm, util.Require))
	}
	return m
}

// evaluate evaluates the bundle's top level and returns what it exports. It is called
// by [machine.protect].
func (m *machine) evaluate(p *program) *goja.Object {
	if _, err := m.vm.RunProgram(p.compiled); err != nil {
		panic(err)
	}
	return m.module.Get("exports").ToObject(m.vm)
}

// handler returns what is called for an event, and the object that it is called on:
// the default export, or its method handle.
func (m *machine) handler(exports *goja.Object) (f native, on goja.Value) {
	main := exports.Get("default")
	if main == nil {
		main = exports
	}
	if f, ok := callable(main); ok {
		return f, goja.Undefined()
	}
	if o, ok := main.(*goja.Object); ok {
		if f, ok := callable(o.Get("handle")); ok {
			return f, o
		}
	}
	return nil, nil
}

// protect calls f, which may run code of the script, and then the jobs of promises
// that f leaves. The error is what was thrown, or an interruption.
func (m *machine) protect(f func() goja.Value) (goja.Value, error) {
	call, _ := goja.AssertFunction(m.vm.ToValue(func(goja.FunctionCall) goja.Value { return f() }))
	return call(goja.Undefined())
}

// program is a bundle that is ready to be evaluated.
type program struct {
	file     string // for errors
	text     string
	compiled *goja.Program
	bounds   []bound
	params   []string        // methods of URLSearchParams that it can name
	url      bool            // it can name URL
	named    map[string]bool // what of the runtime it can name
}

// newProgram returns a bundle with what its text can name.
func newProgram(file, text string, compiled *goja.Program) *program {
	named := map[string]bool{}
	for _, name := range []string{"console", "url", "URL", "util"} {
		named[name] = strings.Contains(text, name)
	}
	return &program{
		file: file, text: text, compiled: compiled, named: named,
		bounds: needed(text), params: neededParams(text), url: wholeURL.MatchString(text),
	}
}
