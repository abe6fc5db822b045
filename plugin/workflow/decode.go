//go:build !noworkflow

package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/dop251/goja"
	"github.com/go-json-experiment/json/jsontext"
)

// decode returns JSON as a value of vm, as JSON.parse does, whatever the script made
// of JSON.parse. Errors show no part of text.
func decode(vm *goja.Runtime, text []byte) (goja.Value, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	v, err := decodeValue(vm, d)
	if err != nil {
		return nil, errors.New("it isn't JSON")
	}
	if d.PeekKind() != 0 {
		return nil, errors.New("it is more than one JSON value")
	}
	return v, nil
}

func decodeValue(vm *goja.Runtime, d *jsontext.Decoder) (goja.Value, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	if d.StackDepth() > maxNested {
		return nil, fmt.Errorf("it is nested more than %d levels deep", maxNested)
	}
	switch token.Kind() {
	case '"':
		return vm.ToValue(token.String()), nil
	case '0':
		x, err := strconv.ParseFloat(token.String(), 64)
		if err == nil && x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return vm.ToValue(int64(x)), nil
		}
		return vm.ToValue(x), nil // infinite if it is too large, as JSON.parse has it
	case 't', 'f':
		return vm.ToValue(token.Bool()), nil
	case '[':
		return decodeList(vm, d)
	case '{':
		return decodeObject(vm, d)
	default:
		return goja.Null(), nil
	}
}

func decodeList(vm *goja.Runtime, d *jsontext.Decoder) (goja.Value, error) {
	var elements []any
	for d.PeekKind() != ']' {
		v, err := decodeValue(vm, d)
		if err != nil {
			return nil, err
		}
		elements = append(elements, v)
	}
	_, err := d.ReadToken()
	return vm.NewArray(elements...), err
}

func decodeObject(vm *goja.Runtime, d *jsontext.Decoder) (goja.Value, error) {
	// Without a prototype, no setter of the script's and no __proto__ is in the way.
	prototype := vm.NewObject().Prototype()
	o := vm.CreateObject(nil)
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		text := name.String()
		v, err := decodeValue(vm, d)
		if err != nil {
			return nil, err
		}
		_ = o.Set(text, v)
	}
	_ = o.SetPrototype(prototype)
	_, err := d.ReadToken()
	return o, err
}
