//go:build !noworkflow

package workflow

import (
	"strconv"

	"github.com/dop251/goja"
)

// join is Array.prototype.join, with bounds: lists in lists become texts, too.
func join(b *bounds, _ native) native {
	var joining []*goja.Object
	return func(call goja.FunctionCall) goja.Value {
		defer b.enter()()
		o := call.This.ToObject(b.vm)
		for _, outer := range joining {
			if outer == o {
				return b.vm.ToValue("") // a list in itself, as V8 has it
			}
		}
		joining = append(joining, o)
		defer func() { joining = joining[:len(joining)-1] }()
		b.list(o)
		between := b.vm.ToValue(",").(goja.String)
		if v := call.Argument(0); !goja.IsUndefined(v) {
			between = textOf(b.vm, v)
		}
		var text goja.StringBuilder
		length := 0
		for i := range o.Get("length").ToInteger() {
			if i > 0 {
				text.WriteString(between)
				length += between.Length()
			}
			element := o.Get(strconv.FormatInt(i, 10))
			if element == nil || goja.IsUndefined(element) || goja.IsNull(element) {
				continue
			}
			s := textOf(b.vm, element)
			length += s.Length()
			b.length(length)
			text.WriteString(s)
		}
		return text.String()
	}
}

// flat is Array.prototype.flat, with bounds: a list that has another one twice
// doubles with each level.
func flat(b *bounds, _ native) native {
	return func(call goja.FunctionCall) goja.Value {
		defer b.enter()()
		levels := int64(1)
		if v := call.Argument(0); !goja.IsUndefined(v) {
			levels = v.ToInteger()
		}
		var elements []any
		b.flatten(call.This.ToObject(b.vm), levels, &elements)
		return b.vm.NewArray(elements...)
	}
}

func (b *bounds) flatten(o *goja.Object, levels int64, elements *[]any) {
	defer b.enter()()
	b.list(o)
	for i := range o.Get("length").ToInteger() {
		element := o.Get(strconv.FormatInt(i, 10))
		if element == nil {
			continue // a hole
		}
		if inner, ok := element.(*goja.Object); ok && levels > 0 && className(inner) == "Array" {
			b.flatten(inner, levels-1, elements)
			continue
		}
		if *elements = append(*elements, element); len(*elements) > maxList {
			b.refuse("a list has more than %d elements, the limit of built-in functions", maxList)
		}
	}
}
