//go:build !noworkflow

package workflow

import (
	"fmt"
	"strings"

	"github.com/dop251/goja"
)

// A script's own code can be interrupted anywhere, but a built-in function of goja
// runs to its end, and Go can't recover from a stack that is too deep or from
// memory that runs out. So this rule holds for built-in functions:
//
//	What descends into a value, or reads or makes a text or a list whose size isn't
//	that of what is in memory already, throws a RangeError beyond maxNested, maxText
//	or maxList. What can't be bounded so is removed.
//
// A bound is a function in the place of goja's own. A virtual machine gets those
// that the bundle's text can name.

// native is a function as a script calls it.
type native = func(goja.FunctionCall) goja.Value

// bound bounds the function called name of the object that a script calls on.
type bound struct {
	on, name string
	within   within
}

// within returns what takes the place of a function. Nil means that it is removed.
type within func(b *bounds, original goja.Value) goja.Value

// function makes what returns another function of the original one.
func function(bounded func(b *bounds, original native) native) within {
	return func(b *bounds, original goja.Value) goja.Value {
		own, _ := callable(original)
		return b.vm.ToValue(bounded(b, own))
	}
}

// bounds are the bounds in one virtual machine.
type bounds struct {
	vm      *goja.Runtime
	stopped func() error
	nested  int // calls of bounded functions in one another
}

// iterator is Symbol.iterator in a bound's name.
const iterator = "@@iterator"

// install puts list into the virtual machine.
func (b *bounds) install(list []bound) {
	objects := map[string]*goja.Object{"": b.vm.GlobalObject()}
	for _, at := range list {
		on := objects[at.on]
		if on == nil {
			on = b.object(at.on)
			objects[at.on] = on
		}
		b.put(on, at)
	}
}

// put puts one bound in the place of what it bounds.
func (b *bounds) put(on *goja.Object, at bound) {
	if at.name == iterator {
		bounded := at.within(b, on.GetSymbol(goja.SymIterator))
		_ = on.DefineDataPropertySymbol(goja.SymIterator, bounded, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
		return
	}
	original := on.Get(at.name)
	if original == nil {
		return // goja doesn't have it
	}
	bounded := at.within(b, original)
	if bounded == original {
		return
	}
	substitute(on, at.name, bounded)
	if constructor, ok := original.(*goja.Object); ok && at.on == "" {
		if prototype, ok := constructor.Get("prototype").(*goja.Object); ok && prototype.Get("constructor") == original {
			substitute(prototype, "constructor", bounded)
		}
	}
}

// substitute puts a function in the place of another one. Nil removes it.
func substitute(on *goja.Object, name string, by goja.Value) {
	if by == nil {
		_ = on.Delete(name)
		return
	}
	_ = on.DefineDataProperty(name, by, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
}

// object returns the object at path, such as Array.prototype.
func (b *bounds) object(path string) *goja.Object {
	o := b.vm.GlobalObject()
	for _, name := range strings.Split(path, ".") {
		o = o.Get(name).ToObject(b.vm)
	}
	return o
}

// enter is called at the start of a bounded function, and what it returns at the
// end.
func (b *bounds) enter() (leave func()) {
	if b.stopped() != nil {
		b.refuse("the workflow was interrupted")
	}
	if b.nested++; b.nested > maxNested {
		b.nested--
		b.refuse("built-in functions call one another more than %d levels deep", maxNested)
	}
	return b.leave
}

func (b *bounds) leave() { b.nested-- }

// refuse throws a RangeError.
func (b *bounds) refuse(format string, args ...any) {
	text := b.vm.ToValue(fmt.Sprintf(format, args...))
	if constructor, ok := b.vm.Get("RangeError").(*goja.Object); ok {
		if thrown, err := b.vm.New(constructor, text); err == nil {
			panic(thrown)
		}
	}
	panic(b.vm.NewTypeError(text.String()))
}

// list refuses a list, or an object with a length, that is too long.
func (b *bounds) list(v goja.Value) {
	if o, ok := v.(*goja.Object); ok {
		if length := o.Get("length"); length != nil && length.ToInteger() > maxList {
			b.refuse("a list has more than %d elements, the limit of built-in functions", maxList)
		}
	}
}

// text refuses a text that is too long. It returns the text's length, 0 for
// another value.
func (b *bounds) text(v goja.Value) int {
	s, ok := v.(goja.String)
	if !ok {
		return 0
	}
	b.length(s.Length())
	return s.Length()
}

// length refuses a text of n units.
func (b *bounds) length(n int) {
	if n > maxText {
		b.refuse("a text has more than %d characters, the limit of built-in functions", maxText)
	}
}

// product refuses a text of n times m units.
func (b *bounds) product(n, m int) {
	if n > 0 && m > maxText/n {
		b.length(maxText + 1)
	}
}
