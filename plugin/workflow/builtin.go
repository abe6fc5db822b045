//go:build !noworkflow

package workflow

import (
	"regexp"
	"strings"

	"github.com/dop251/goja"
)

// methods returns the bounds of methods, and of functions of objects.
func methods() []bound {
	list := []bound{
		{"Array.prototype", "join", function(join)},
		{"Array.prototype", "flat", function(flat)},
		{"Array.prototype", "concat", function(lists)},
		{"Array.prototype", iterator, function(onList)},
		{"Array", "from", function(lists)},
		{"Function.prototype", "apply", function(lists)},
		{"Reflect", "apply", function(lists)},
		{"Reflect", "construct", function(lists)},
		{"JSON", "parse", function(parse)},
		{"JSON", "stringify", function(stringify)},
		{"String.prototype", iterator, function(onText)},
		{"String.prototype", "split", function(onText)},
		{"String.prototype", "repeat", function(repeat)},
		{"String.prototype", "padStart", function(pad)},
		{"String.prototype", "padEnd", function(pad)},
		{"String.prototype", "replace", function(replace)},
		{"String.prototype", "replaceAll", function(replace)},
		{"String.prototype", "match", function(pattern)},
		{"String.prototype", "matchAll", function(pattern)},
		{"String.prototype", "search", function(pattern)},
		{"RegExp.prototype", "compile", function(pattern)},
	}
	for _, name := range strings.Fields(listMethods) {
		list = append(list, bound{"Array.prototype", name, function(onList)})
	}
	return list
}

// listMethods are methods of Array that visit each index below the length, however
// few elements there are.
const listMethods = "copyWithin entries every fill filter find findIndex findLast findLastIndex flatMap forEach " +
	"includes indexOf keys lastIndexOf map reduce reduceRight reverse shift slice some sort splice toLocaleString " +
	"toReversed toSorted toSpliced unshift values with"

func onList(b *bounds, original native) native {
	return func(call goja.FunctionCall) goja.Value {
		defer b.enter()()
		b.list(call.This)
		return original(call)
	}
}

func onText(b *bounds, original native) native {
	return func(call goja.FunctionCall) goja.Value {
		defer b.enter()()
		b.text(call.This)
		return original(call)
	}
}

// lists bounds a function that reads the lists among its arguments.
func lists(b *bounds, original native) native {
	return func(call goja.FunctionCall) goja.Value {
		defer b.enter()()
		if o, ok := call.This.(*goja.Object); ok && o.ClassName() == "Array" {
			b.list(o)
		}
		for _, argument := range call.Arguments {
			if o, ok := argument.(*goja.Object); ok && className(o) != "Function" {
				b.list(o)
			}
		}
		return original(call)
	}
}

func repeat(b *bounds, original native) native {
	return func(call goja.FunctionCall) goja.Value {
		if n := call.Argument(0).ToInteger(); n > 0 {
			b.product(b.text(call.This), int(min(n, maxText+1)))
		}
		return original(call)
	}
}

func pad(b *bounds, original native) native {
	return func(call goja.FunctionCall) goja.Value {
		b.length(int(min(call.Argument(0).ToInteger(), maxText+1)))
		return original(call)
	}
}

// pattern bounds a function that makes a regular expression of a text.
func pattern(b *bounds, original native) native {
	return func(call goja.FunctionCall) goja.Value {
		defer b.enter()()
		b.text(call.This)
		b.pattern(call.Argument(0))
		return original(call)
	}
}

func (b *bounds) pattern(v goja.Value) {
	if o, ok := v.(*goja.Object); ok && className(o) == "RegExp" {
		return
	}
	if len(v.String()) > maxPattern {
		b.refuse("a text of more than %d characters can't be a regular expression", maxPattern)
	}
}

// wide matches what makes a replacement longer than what it replaces: the text
// before or after the match, and groups that look around it.
var (
	wide  = regexp.MustCompile("\\$[`']")
	looks = regexp.MustCompile(`\(\?<?[=!]`)
)

// replace bounds the text that a replacement makes. One by a function is made of
// texts that the script makes.
func replace(b *bounds, original native) native {
	return func(call goja.FunctionCall) goja.Value {
		defer b.enter()()
		n := b.text(call.This)
		if by, ok := call.Argument(1).(goja.String); ok && n > 0 {
			b.text(by)
			longest := by.Length() - strings.Count(by.String(), "$")
			b.product(n+1, longest)
			if dollars := strings.Count(by.String(), "$"); dollars > 0 && (wide.MatchString(by.String()) || looksAround(call.Argument(0))) {
				b.product(n+1, n*dollars)
			} else {
				b.product(n, dollars)
			}
		}
		return original(call)
	}
}

func looksAround(v goja.Value) bool {
	o, ok := v.(*goja.Object)
	return ok && className(o) == "RegExp" && looks.MatchString(o.Get("source").String())
}
