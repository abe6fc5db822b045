package bundle

import (
	"reflect"
	"slices"

	"github.com/dop251/goja/ast"
)

// besides are the fields that aren't nodes, are in the body, too, or are names of
// something else than variables.
var besides = []string{"File", "DeclarationList", "Label", "Meta", "Property"}

// walk visits node and all that is below it, in the order of the text, and
// leaves each one after what is below it.
func walk(node ast.Node, visit, leave func(ast.Node)) {
	visit(node)
	value := reflect.ValueOf(node)
	if value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	if value.Kind() == reflect.Struct {
		walkFields(value, visit, leave)
	}
	leave(node)
}

func walkFields(value reflect.Value, visit, leave func(ast.Node)) {
	for i := range value.NumField() {
		if !slices.Contains(besides, value.Type().Field(i).Name) {
			walkValue(value.Field(i), visit, leave)
		}
	}
}

func walkValue(value reflect.Value, visit, leave func(ast.Node)) {
	switch value.Kind() {
	case reflect.Interface, reflect.Pointer:
		if value.IsNil() {
			return
		}
		if node, ok := value.Interface().(ast.Node); ok && value.Elem().Kind() != reflect.Pointer {
			walk(node, visit, leave)
			return
		}
		walkValue(value.Elem(), visit, leave)
	case reflect.Slice:
		for i := range value.Len() {
			walkValue(value.Index(i), visit, leave)
		}
	case reflect.Struct:
		switch node := value.Addr().Interface().(type) {
		case *ast.Identifier, *ast.PrivateIdentifier: // a member's name
			return
		case ast.Node:
			walk(node, visit, leave)
			return
		}
		walkFields(value, visit, leave)
	}
}
