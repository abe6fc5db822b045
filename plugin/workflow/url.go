//go:build !noworkflow

package workflow

import (
	"regexp"

	"github.com/dop251/goja"
	"github.com/dop251/goja_nodejs/url"
)

// wholeURL matches a text that can name more of the module url than
// URLSearchParams.
var wholeURL = regexp.MustCompile(`\bURL\b|\bdomainTo|\bglobalThis\b`)

// load returns what require has a module export.
func load(vm *goja.Runtime, require func(*goja.Runtime, *goja.Object)) *goja.Object {
	module, exports := vm.NewObject(), vm.NewObject()
	_ = module.Set("exports", exports)
	require(vm, module)
	return exports
}

// newURL returns what the module url exports. URL takes long to make, so only a text
// that can name it gets it.
func newURL(b *bounds, whole bool, methods []string) *goja.Object {
	s := searchParams{b}
	exports, constructor := b.vm.NewObject(), s.constructor(methods)
	if whole {
		exports = load(b.vm, url.Require)
		s.link(exports.Get("URL").ToObject(b.vm), constructor)
	}
	_ = exports.Set("URLSearchParams", constructor)
	return exports
}

// link gives URL its searchParams: what is changed in one is changed in the other.
func (s searchParams) link(url, constructor *goja.Object) {
	linked := map[*goja.Object]*goja.Object{}
	getter := func(call goja.FunctionCall) goja.Value {
		of := call.This.ToObject(s.vm)
		if linked[of] == nil {
			o, err := s.vm.New(constructor)
			if err != nil {
				panic(err)
			}
			o.Export().(*params).of = of
			linked[of] = o
		}
		return linked[of]
	}
	prototype := s.vm.CreateObject(url.Get("prototype").ToObject(s.vm)) // whose own searchParams can't be replaced
	_ = prototype.DefineDataProperty("constructor", url, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	_ = url.Set("prototype", prototype)
	_ = prototype.DefineAccessorProperty("searchParams", s.vm.ToValue(getter), nil, goja.FLAG_TRUE, goja.FLAG_TRUE)
}

// refresh reads the query of the URL that p belongs to.
func (s searchParams) refresh(p *params) {
	if p.of == nil {
		return
	}
	if query := s.string(p.of.Get("search")); query != p.query {
		p.query, p.pairs, p.size = query, nil, 0
		s.parse(p, query)
	}
}

// write writes p to the query of the URL that it belongs to.
func (s searchParams) write(p *params) {
	if p.of == nil {
		return
	}
	if err := p.of.Set("search", form(p.pairs)); err != nil {
		panic(err)
	}
	p.query = s.string(p.of.Get("search"))
}
