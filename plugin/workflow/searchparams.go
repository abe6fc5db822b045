//go:build !noworkflow

package workflow

import (
	"reflect"
	"strings"

	"github.com/dop251/goja"
)

// params are URLSearchParams (WHATWG URL, section 6.2): the pairs of a query or a
// form.
type params struct {
	pairs []pair
	size  int          // of all texts, in bytes
	of    *goja.Object // the URL whose query they are, nil for others
	query string       // of that URL, as it was read or written last
}

var paramsType = reflect.TypeFor[*params]()

// searchParams makes them in one virtual machine.
type searchParams struct{ *bounds }

// constructor returns URLSearchParams. Its prototype has the methods that the
// bundle's text can name, and those that are called without a name.
func (s searchParams) constructor(methods []string) *goja.Object {
	constructor := s.vm.ToValue(s.construct).ToObject(s.vm)
	prototype := constructor.Get("prototype").ToObject(s.vm)
	for _, name := range methods {
		method := s.vm.ToValue(s.method(paramsMethods[name]))
		if name == "size" {
			_ = prototype.DefineAccessorProperty(name, method, nil, goja.FLAG_TRUE, goja.FLAG_TRUE)
			continue
		}
		_ = prototype.Set(name, method)
	}
	entries := prototype.Get("entries")
	if entries == nil {
		entries = s.vm.ToValue(s.method(paramsMethods["entries"]))
	}
	_ = prototype.DefineDataPropertySymbol(goja.SymIterator, entries, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	_ = prototype.DefineDataPropertySymbol(goja.SymToStringTag, s.vm.ToValue("URLSearchParams"), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	return constructor
}

// construct is the constructor.
func (s searchParams) construct(call goja.ConstructorCall) *goja.Object {
	defer s.enter()()
	p := &params{}
	switch init := call.Argument(0); {
	case !given(init):
	case isObject(init):
		s.read(p, init.ToObject(s.vm))
	default:
		s.parse(p, s.string(init))
	}
	o := s.vm.ToValue(p).ToObject(s.vm)
	_ = o.SetPrototype(call.This.Prototype())
	return o
}

// read reads the pairs of an object: of a list of pairs, or its members.
func (s searchParams) read(p *params, o *goja.Object) {
	if given(o.GetSymbol(goja.SymIterator)) {
		s.vm.ForOf(o, func(v goja.Value) bool {
			s.add(p, s.pair(v))
			return true
		})
		return
	}
	for _, name := range o.Keys() {
		s.add(p, pair{name, s.string(o.Get(name))})
	}
}

// pair reads a list of two texts.
func (s searchParams) pair(v goja.Value) pair {
	var texts []string
	if isObject(v) && given(v.ToObject(s.vm).GetSymbol(goja.SymIterator)) {
		s.vm.ForOf(v, func(v goja.Value) bool {
			texts = append(texts, s.string(v))
			return len(texts) <= 2
		})
	}
	if len(texts) != 2 {
		panic(s.vm.NewTypeError("URLSearchParams: each pair must be a list of a name and a value"))
	}
	return pair{texts[0], texts[1]}
}

// parse reads the pairs of a query or a form.
func (s searchParams) parse(p *params, form string) {
	for part := range strings.SplitSeq(strings.TrimPrefix(form, "?"), "&") {
		if part != "" {
			name, value, _ := strings.Cut(part, "=")
			s.add(p, pair{unescape(name), unescape(value)})
		}
	}
}

// add adds a pair. All together are bounded: a script can add one text many times.
func (s searchParams) add(p *params, added pair) {
	p.pairs = append(p.pairs, added)
	p.size += len(added.name) + len(added.value) + 2
	s.length(p.size)
}

// string returns a value as a text of whole characters.
func (s searchParams) string(v goja.Value) string {
	text := textOf(s.vm, v)
	s.text(text)
	return text.String()
}

// isObject reports whether v is an object, also a function.
func isObject(v goja.Value) bool {
	_, ok := v.(*goja.Object)
	return ok
}
