//go:build !noworkflow

package workflow

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"
	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/splice"
)

// encoder writes a script's value as JSON, as JSON.stringify does, with two
// differences: what JSON can't express is an error wherever it is, and so is an
// object that JSON.stringify would empty, such as a Map or a promise. Getters and
// toJSON run in the script's virtual machine; what they throw is thrown on.
type encoder struct {
	vm    *goja.Runtime
	room  int // bytes that text may have
	text  jsontext.Value
	above []*goja.Object // the objects and lists around a value
}

var errTooLong = errors.New("is too long")

// encode returns value as JSON of at most room bytes. The error says where in value
// it is wrong, such as `.plan[2] is NaN`.
func encode(vm *goja.Runtime, value goja.Value, room int) (jsontext.Value, error) {
	e := &encoder{vm: vm, room: room}
	err := e.value("", value)
	return e.text, err
}

// wrong is an error about the value at path. It shows no value.
type wrong struct{ path, problem string }

func (w *wrong) Error() string {
	if w.path == "" {
		return w.problem
	}
	return w.path + " " + w.problem
}

// value writes the value that key names in the object around it.
func (e *encoder) value(key string, v goja.Value) error {
	v = e.replaced(key, v)
	switch v := v.(type) {
	case nil:
		return &wrong{problem: "is undefined"}
	case *goja.Symbol:
		return &wrong{problem: "is a symbol"}
	case goja.String:
		return e.quote(v)
	case *goja.Object:
		return e.object(v)
	}
	if goja.IsUndefined(v) {
		return &wrong{problem: "is undefined"}
	}
	if goja.IsNull(v) {
		return e.add("null")
	}
	switch x := v.Export().(type) {
	case bool:
		return e.add(strconv.FormatBool(x))
	case int64:
		return e.add(strconv.FormatInt(x, 10))
	case float64:
		return e.number(x, v)
	case *big.Int:
		return &wrong{problem: "is a BigInt"}
	}
	return &wrong{problem: "isn't a JSON value"}
}

// replaced is v, or what its method toJSON makes of it.
func (e *encoder) replaced(key string, v goja.Value) goja.Value {
	o, ok := v.(*goja.Object)
	if !ok {
		return v
	}
	if toJSON, ok := callable(o.Get("toJSON")); ok {
		return toJSON(goja.FunctionCall{This: o, Arguments: []goja.Value{e.vm.ToValue(key)}})
	}
	return v
}

func (e *encoder) number(x float64, v goja.Value) error {
	switch {
	case math.IsNaN(x):
		return &wrong{problem: "is NaN"}
	case math.IsInf(x, 0):
		return &wrong{problem: "is infinite"}
	case x == 0:
		return e.add("0") // not -0
	}
	return e.add(v.String())
}

// object writes an object, a list, or the value in a wrapper such as new String("").
func (e *encoder) object(o *goja.Object) error {
	for _, outer := range e.above {
		if o.SameAs(outer) {
			return &wrong{problem: "contains itself"}
		}
	}
	if len(e.above) == maxClaimDepth {
		return &wrong{problem: fmt.Sprintf("is nested more than %d levels deep", maxClaimDepth)}
	}
	e.above = append(e.above, o)
	defer func() { e.above = e.above[:len(e.above)-1] }()
	switch class := className(o); class {
	case "Function":
		return &wrong{problem: "is a function"}
	case "Array":
		return e.list(o)
	case "Object", "Arguments":
		return e.members(o)
	case "Number":
		return e.value("", e.vm.ToValue(o.ToFloat()))
	case "String":
		return e.value("", o.ToString())
	case "Boolean":
		return e.add(strconv.FormatBool(o.Export() == true))
	case "Promise":
		return &wrong{problem: "is a promise; await it"}
	default:
		return &wrong{problem: fmt.Sprintf("is a %.50s, which JSON can't express", class)}
	}
}

func (e *encoder) list(o *goja.Object) error {
	n := o.Get("length").ToInteger()
	if n < 0 || n > int64(e.room) { // an element has two bytes at least
		return errTooLong
	}
	for i := range n {
		if err := e.add(separator(i == 0, '[')); err != nil {
			return err
		}
		index := strconv.FormatInt(i, 10)
		if err := e.value(index, o.Get(index)); err != nil {
			return at("["+index+"]", err)
		}
	}
	if n == 0 {
		return e.add("[]")
	}
	return e.add("]")
}

func (e *encoder) members(o *goja.Object) error {
	names := o.Keys()
	for i, name := range names {
		if err := e.add(separator(i == 0, '{')); err != nil {
			return err
		}
		quoted, err := splice.Quote(name)
		if err != nil || strings.ContainsRune(name, utf8.RuneError) {
			return &wrong{problem: "has a name that isn't Unicode"}
		}
		if err := e.add(string(quoted) + ":"); err != nil {
			return err
		}
		if err := e.value(name, o.Get(name)); err != nil {
			return at(fmt.Sprintf(".%.50s", name), err)
		}
	}
	if len(names) == 0 {
		return e.add("{}")
	}
	return e.add("}")
}

func separator(first bool, open byte) string {
	if first {
		return string(open)
	}
	return ","
}

// quote writes a text, which must be well-formed: no half of a surrogate pair.
func (e *encoder) quote(s goja.String) error {
	if s.Length() > e.room-len(e.text) {
		return errTooLong
	}
	if !wellFormed(s) {
		return &wrong{problem: "has half of a surrogate pair, which isn't a character"}
	}
	quoted, err := splice.Quote(s.String())
	if err != nil {
		return &wrong{problem: "isn't Unicode"}
	}
	return e.add(string(quoted))
}

// add appends text if there is room.
func (e *encoder) add(text string) error {
	if len(text) > e.room-len(e.text) {
		return errTooLong
	}
	e.text = append(e.text, text...)
	return nil
}

// at puts the way to a value before an error about it.
func at(step string, err error) error {
	if w, ok := err.(*wrong); ok && len(w.path) < 200 {
		w.path = step + w.path
	}
	return err
}

// wellFormed reports whether each half of a surrogate pair in s has its other half.
func wellFormed(s goja.String) bool {
	n := s.Length()
	for i := 0; i < n; i++ {
		switch c := s.CharAt(i); {
		case c < 0xd800 || c > 0xdfff:
		case c < 0xdc00 && i+1 < n && s.CharAt(i+1)&0xfc00 == 0xdc00:
			i++
		default:
			return false
		}
	}
	return true
}

// given reports whether v is neither undefined nor null.
func given(v goja.Value) bool { return v != nil && !goja.IsUndefined(v) && !goja.IsNull(v) }

// textOf returns v as a text, as String does in a script. goja leaves a number, a
// boolean, null and undefined as they are. A symbol throws.
func textOf(vm *goja.Runtime, v goja.Value) goja.String {
	v = v.ToString()
	if s, ok := v.(goja.String); ok {
		return s
	}
	if _, ok := v.(*goja.Symbol); ok {
		panic(vm.NewTypeError("a symbol can't become a text"))
	}
	return vm.ToValue(v.String()).(goja.String)
}

// className is the class of o, or of what it is a proxy of. goja calls a Map and a
// Go value an Object, too.
func className(o *goja.Object) string {
	for o.ExportType() == proxyType {
		target := o.Export().(goja.Proxy).Target()
		if target == nil {
			break // revoked
		}
		o = target
	}
	if class := o.ClassName(); class != "Object" || o.ExportType() == objectType {
		return class
	}
	switch t := o.ExportType(); {
	case t == promiseType:
		return "Promise"
	case t.Kind() == reflect.Slice:
		return "Map or Set"
	default:
		return "native object"
	}
}

// callable returns the function that v is, as a script calls it: what it throws is
// a panic of goja's.
func callable(v goja.Value) (func(goja.FunctionCall) goja.Value, bool) {
	if v == nil || v.ExportType() != functionType {
		return nil, false
	}
	f, ok := v.Export().(func(goja.FunctionCall) goja.Value)
	return f, ok
}

var (
	functionType = reflect.TypeFor[func(goja.FunctionCall) goja.Value]()
	promiseType  = reflect.TypeFor[*goja.Promise]()
	objectType   = reflect.TypeFor[map[string]any]()
	proxyType    = reflect.TypeFor[goja.Proxy]()
)
