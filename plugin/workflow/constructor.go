//go:build !noworkflow

package workflow

import (
	"strings"

	"github.com/dop251/goja"
)

// constructors returns the bounds of constructors, and what is removed.
func constructors() []bound {
	list := []bound{
		{"", "RegExp", constructor(func(b *bounds, first goja.Value) { b.pattern(first) })},
		{"", "Proxy", constructor((*bounds).proxies)},
		{"", "Function", noCompiler},
		{"", "constructor", noCompiler}, // of every function
		{"", "eval", removed},
		{"", "BigInt", removed}, // a power of two of them can't be interrupted
		{"", "SharedArrayBuffer", removed},
		{"", "ArrayBuffer", constructor(buffer)},
		{"DataView.prototype", "getBigInt64", removed}, // the last source of a BigInt
		{"DataView.prototype", "getBigUint64", removed},
	}
	for _, of := range strings.Fields("Int8 Uint8 Uint8Clamped Int16 Uint16 Int32 Uint32 Float32 Float64") {
		list = append(list, bound{"", of + "Array", constructor(buffer)})
	}
	return append(list, bound{"", "BigInt64Array", removed}, bound{"", "BigUint64Array", removed})
}

// constructor returns what bounds a constructor by its first argument. All else of
// it stays as it is.
func constructor(check func(b *bounds, first goja.Value)) within {
	return func(b *bounds, original goja.Value) goja.Value {
		call, _ := callable(original)
		construct, _ := goja.AssertConstructor(original)
		b.haveInstances(original.ToObject(b.vm))
		return b.vm.ToValue(b.vm.NewProxy(original.ToObject(b.vm), &goja.ProxyTrapConfig{
			Apply: func(_ *goja.Object, this goja.Value, args []goja.Value) goja.Value {
				check(b, first(args))
				return call(goja.FunctionCall{This: this, Arguments: args})
			},
			Construct: func(_ *goja.Object, args []goja.Value, newTarget *goja.Object) *goja.Object {
				check(b, first(args))
				o, err := construct(newTarget, args...)
				if err != nil {
					panic(err)
				}
				return o
			},
		}))
	}
}

// haveInstances gives constructor its instanceof, which goja's proxies don't have.
func (b *bounds) haveInstances(constructor *goja.Object) {
	has, ok := callable(constructor.GetSymbol(goja.SymHasInstance))
	if !ok {
		return
	}
	_ = constructor.DefineDataPropertySymbol(goja.SymHasInstance, b.vm.ToValue(func(call goja.FunctionCall) goja.Value {
		return has(goja.FunctionCall{This: constructor, Arguments: call.Arguments})
	}), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE)
}

func first(args []goja.Value) goja.Value {
	if len(args) == 0 {
		return goja.Undefined()
	}
	return args[0]
}

// removed removes a function.
func removed(*bounds, goja.Value) goja.Value { return nil }

// buffer bounds how many bytes or elements a buffer or a typed array has.
func buffer(b *bounds, size goja.Value) {
	if _, ok := size.(*goja.Object); ok {
		b.list(size)
		return
	}
	b.length(int(min(size.ToInteger(), maxText+1)))
}

// maxProxies is how many proxies may be around one another. goja asks each for the
// next.
const maxProxies = 50

func (b *bounds) proxies(target goja.Value) {
	o, ok := target.(*goja.Object)
	for n := 0; ok && o != nil && o.ExportType() == proxyType; n++ {
		if n == maxProxies {
			b.refuse("more than %d proxies are around one another", maxProxies)
		}
		o = o.Export().(goja.Proxy).Target()
	}
}

// literals are functions of the kinds that have a constructor of their own.
var literals = goja.MustCompile("", "[function () {}, async function () {}, function* () {}]", true)

// noCompiler replaces the constructor of every function. It would compile a text
// while an event waits, and the parser can be driven out of Go's stack. Packages ask
// for the global object by one text, which needs no compiler.
func noCompiler(b *bounds, original goja.Value) goja.Value {
	global := b.vm.ToValue(func(goja.FunctionCall) goja.Value { return b.vm.GlobalObject() }).ToObject(b.vm)
	refused := b.vm.ToValue(func(call goja.ConstructorCall) *goja.Object {
		if text, ok := call.Argument(0).(goja.String); ok && text.Length() < 20 && text.String() == "return this" {
			return global
		}
		panic(b.vm.NewTypeError("a workflow can't make functions of texts"))
	}).ToObject(b.vm)
	functions, err := b.vm.RunProgram(literals)
	if err != nil {
		panic(err)
	}
	for _, kind := range []string{"0", "1", "2"} {
		prototype := functions.ToObject(b.vm).Get(kind).ToObject(b.vm).Prototype()
		if kind == "0" {
			_ = refused.Set("prototype", prototype)
		}
		_ = prototype.DefineDataProperty("constructor", refused, goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE)
	}
	_ = b.vm.GlobalObject().Set("Function", refused)
	return original
}
