package bundle

import (
	"strings"

	"github.com/dop251/goja/ast"
)

// learnEntry finds the default export in an assignment and gives its first
// parameter its meaning. esbuild makes an ECMAScript module into:
//
//	__export(entry_exports, { default: () => NAME });
//	module.exports = __toCommonJS(entry_exports);
//
// A CommonJS module has exports.default = FUNCTION or module.exports = {default: FUNCTION}.
func (r *reader) learnEntry(assign *ast.AssignExpression) {
	left, ok := assign.Left.(*ast.DotExpression)
	if !ok {
		return
	}
	switch name := left.Identifier.Name.String(); {
	case name == "default" && isExports(left.Left):
		r.learnHandler(assign.Right)
	case name == "exports":
		if call, ok := assign.Right.(*ast.CallExpression); ok && len(call.ArgumentList) == 1 {
			r.learnExports(call.ArgumentList[0])
		}
		r.learnMember(assign.Right, "default")
	}
}

// isExports reports whether an expression is the exports of a CommonJS module,
// under a name that esbuild gives it.
func isExports(expression ast.Expression) bool {
	switch e := expression.(type) {
	case *ast.Identifier:
		return strings.HasPrefix(e.Name.String(), "exports")
	case *ast.DotExpression:
		return e.Identifier.Name == "exports"
	}
	return false
}

// learnExports finds the default export of the module whose exports are in object.
func (r *reader) learnExports(object ast.Expression) {
	exports, ok := object.(*ast.Identifier)
	if !ok {
		return
	}
	for _, statement := range r.program.Body {
		s, _ := statement.(*ast.ExpressionStatement)
		if s == nil {
			continue
		}
		call, _ := s.Expression.(*ast.CallExpression)
		if call == nil || len(call.ArgumentList) != 2 {
			continue
		}
		if of, ok := call.ArgumentList[0].(*ast.Identifier); ok && of.Name == exports.Name {
			r.learnMember(call.ArgumentList[1], "default")
		}
	}
}

// learnMember looks for the handler in a member of an object.
func (r *reader) learnMember(object ast.Expression, name string) {
	literal, ok := object.(*ast.ObjectLiteral)
	if !ok {
		return
	}
	for _, property := range literal.Value {
		if p, ok := property.(*ast.PropertyKeyed); ok {
			if key, ok := r.literal(p.Key); ok && key == name {
				r.learnHandler(getter(p.Value))
			}
		}
	}
}

// getter returns NAME of () => NAME.
func getter(value ast.Expression) ast.Expression {
	if arrow, ok := value.(*ast.ArrowFunctionLiteral); ok && len(arrow.ParameterList.List) == 0 {
		if body, ok := arrow.Body.(*ast.ExpressionBody); ok {
			return body.Expression
		}
	}
	return value
}

// learnHandler gives the first parameter of the workflow's function its meaning.
// The function may be a method called handle.
func (r *reader) learnHandler(value ast.Expression) {
	for range 10 { // names of names
		name, ok := value.(*ast.Identifier)
		if !ok {
			break
		}
		v := r.current.find(name.Name.String())
		if v == nil || v.several {
			return
		}
		value = v.value
	}
	var list *ast.ParameterList
	switch f := value.(type) {
	case *ast.FunctionLiteral:
		list = f.ParameterList
	case *ast.ArrowFunctionLiteral:
		list = f.ParameterList
	case *ast.ObjectLiteral:
		r.learnMember(f, "handle")
	}
	if list != nil && len(list.List) > 0 {
		r.bindIn(value, list.List[0], "event")
	}
}
