//go:build !noworkflow

package workflow

import (
	"slices"
	"unicode/utf16"

	"github.com/dop251/goja"
)

// paramsMethod is a method of URLSearchParams.
type paramsMethod struct {
	arguments int  // that it needs
	changes   bool // the pairs
	call      func(s searchParams, p *params, call goja.FunctionCall) goja.Value
}

// method returns m as a script calls it.
func (s searchParams) method(m paramsMethod) native {
	return func(call goja.FunctionCall) goja.Value {
		defer s.enter()()
		if call.This.ExportType() != paramsType {
			panic(s.vm.NewTypeError("URLSearchParams: this isn't one"))
		}
		p := call.This.Export().(*params)
		if len(call.Arguments) < m.arguments {
			panic(s.vm.NewTypeError("URLSearchParams: the method needs %d arguments", m.arguments))
		}
		s.refresh(p)
		result := m.call(s, p, call)
		if m.changes {
			s.write(p)
		}
		return result
	}
}

// paramsMethods are the methods by name. size is a getter.
var paramsMethods = map[string]paramsMethod{
	"append": {2, true, func(s searchParams, p *params, call goja.FunctionCall) goja.Value {
		s.add(p, pair{s.string(call.Argument(0)), s.string(call.Argument(1))})
		return goja.Undefined()
	}},
	"delete": {1, true, func(s searchParams, p *params, call goja.FunctionCall) goja.Value {
		s.replace(p, slices.DeleteFunc(slices.Clone(p.pairs), s.like(call)))
		return goja.Undefined()
	}},
	"get": {1, false, func(s searchParams, p *params, call goja.FunctionCall) goja.Value {
		if i := slices.IndexFunc(p.pairs, s.named(call)); i >= 0 {
			return s.vm.ToValue(p.pairs[i].value)
		}
		return goja.Null()
	}},
	"getAll": {1, false, func(s searchParams, p *params, call goja.FunctionCall) goja.Value {
		values, named := []any{}, s.named(call)
		for _, other := range p.pairs {
			if named(other) {
				values = append(values, other.value)
			}
		}
		return s.vm.NewArray(values...)
	}},
	"has": {1, false, func(s searchParams, p *params, call goja.FunctionCall) goja.Value {
		return s.vm.ToValue(slices.ContainsFunc(p.pairs, s.like(call)))
	}},
	"set": {2, true, func(s searchParams, p *params, call goja.FunctionCall) goja.Value {
		set, named := pair{s.string(call.Argument(0)), s.string(call.Argument(1))}, s.named(call)
		at := slices.IndexFunc(p.pairs, named)
		others := slices.DeleteFunc(slices.Clone(p.pairs), named)
		if at < 0 {
			at = len(others)
		}
		s.replace(p, slices.Insert(others, at, set))
		return goja.Undefined()
	}},
	"sort": {0, true, func(s searchParams, p *params, call goja.FunctionCall) goja.Value {
		slices.SortStableFunc(p.pairs, func(a, b pair) int {
			return slices.Compare(utf16.Encode([]rune(a.name)), utf16.Encode([]rune(b.name)))
		})
		return goja.Undefined()
	}},
	"toString": {0, false, func(s searchParams, p *params, _ goja.FunctionCall) goja.Value { return s.vm.ToValue(form(p.pairs)) }},
	"size":     {0, false, func(s searchParams, p *params, _ goja.FunctionCall) goja.Value { return s.vm.ToValue(len(p.pairs)) }},
	"forEach":  {1, false, searchParams.forEach},
	"entries": {0, false, func(s searchParams, p *params, _ goja.FunctionCall) goja.Value {
		return s.iterate(p, searchParams.both)
	}},
	"keys": {0, false, func(s searchParams, p *params, _ goja.FunctionCall) goja.Value {
		return s.iterate(p, searchParams.name)
	}},
	"values": {0, false, func(s searchParams, p *params, _ goja.FunctionCall) goja.Value {
		return s.iterate(p, searchParams.value)
	}},
}

// named reports whether a pair has the name of the first argument.
func (s searchParams) named(call goja.FunctionCall) func(pair) bool {
	name := s.string(call.Argument(0))
	return func(other pair) bool { return other.name == name }
}

// like reports whether a pair has the name, and the value if that is given.
func (s searchParams) like(call goja.FunctionCall) func(pair) bool {
	named := s.named(call)
	if goja.IsUndefined(call.Argument(1)) {
		return named
	}
	value := s.string(call.Argument(1))
	return func(other pair) bool { return named(other) && other.value == value }
}

// replace puts pairs in the place of all.
func (s searchParams) replace(p *params, pairs []pair) {
	p.pairs, p.size = nil, 0
	for _, each := range pairs {
		s.add(p, each)
	}
}

func (s searchParams) forEach(p *params, call goja.FunctionCall) goja.Value {
	f, ok := callable(call.Argument(0))
	if !ok {
		panic(s.vm.NewTypeError("URLSearchParams: forEach needs a function"))
	}
	for i := 0; i < len(p.pairs); i++ { // f may add and delete some
		f(goja.FunctionCall{This: call.Argument(1), Arguments: []goja.Value{s.value(p.pairs[i]), s.name(p.pairs[i]), call.This}})
		s.refresh(p)
	}
	return goja.Undefined()
}

func (s searchParams) name(of pair) goja.Value  { return s.vm.ToValue(of.name) }
func (s searchParams) value(of pair) goja.Value { return s.vm.ToValue(of.value) }
func (s searchParams) both(of pair) goja.Value  { return s.vm.NewArray(of.name, of.value) }

// iterate returns an iterator of what each pair gives.
func (s searchParams) iterate(p *params, each func(searchParams, pair) goja.Value) goja.Value {
	at := 0
	iterator := s.vm.NewObject()
	_ = iterator.Set("next", func(goja.FunctionCall) goja.Value {
		s.refresh(p)
		value := goja.Undefined()
		done := at >= len(p.pairs)
		if !done {
			value = each(s, p.pairs[at])
			at++
		}
		result := s.vm.NewObject()
		_ = result.Set("value", value)
		_ = result.Set("done", done)
		return result
	})
	itself := func(call goja.FunctionCall) goja.Value { return call.This }
	_ = iterator.DefineDataPropertySymbol(goja.SymIterator, s.vm.ToValue(itself), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	return iterator
}
