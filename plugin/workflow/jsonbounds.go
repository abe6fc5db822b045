//go:build !noworkflow

package workflow

import (
	"github.com/dop251/goja"
)

// parse bounds JSON.parse, which descends into a text.
func parse(b *bounds, original native) native {
	return func(call goja.FunctionCall) goja.Value {
		defer b.enter()()
		b.text(call.Argument(0))
		text := call.Argument(0).String()
		if depth(text) > maxNested {
			b.refuse("JSON is nested more than %d levels deep", maxNested)
		}
		return original(call)
	}
}

// depth returns how deep JSON is nested, at most.
func depth(text string) (deepest int) {
	level, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			level++
			deepest = max(deepest, level)
		case c == ']' || c == '}':
			level--
		}
	}
	return deepest
}

// stringify bounds JSON.stringify. goja calls the replacer for each value with the
// object around it, so the replacer knows how deep the value is and how many came
// before.
func stringify(b *bounds, original native) native {
	return func(call goja.FunctionCall) goja.Value {
		defer b.enter()()
		own, _ := callable(call.Argument(1))
		names := b.names(call.Argument(1))
		depths := map[*goja.Object]int{}
		values, size := 0, 0
		replacer := func(each goja.FunctionCall) goja.Value {
			defer b.enter()()
			holder := each.This.ToObject(b.vm)
			value := each.Argument(1)
			if names != nil && len(depths) > 0 && holder.ClassName() != "Array" && !names[each.Argument(0).String()] {
				return goja.Undefined()
			}
			if own != nil {
				value = own(each)
			}
			if s, ok := value.(goja.String); ok {
				size += s.Length()
			}
			if values++; values > maxList {
				b.refuse("JSON has more than %d values", maxList)
			}
			b.length(size)
			if o, ok := value.(*goja.Object); ok {
				depths[o] = depths[holder] + 1
				if depths[o] > maxNested {
					b.refuse("JSON is nested more than %d levels deep", maxNested)
				}
			}
			return value
		}
		return original(goja.FunctionCall{This: call.This, Arguments: []goja.Value{call.Argument(0), b.vm.ToValue(replacer), call.Argument(2)}})
	}
}

// names returns the names that a list as JSON.stringify's second argument lets
// through, nil for another value.
func (b *bounds) names(v goja.Value) map[string]bool {
	o, ok := v.(*goja.Object)
	if !ok || className(o) != "Array" {
		return nil
	}
	b.list(o)
	names := map[string]bool{}
	b.vm.ForOf(o, func(name goja.Value) bool {
		names[name.String()] = true
		return true
	})
	return names
}
