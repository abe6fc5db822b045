package expression

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"m2m-token-enricher/schema"
)

// reads returns what an expression reads. Each use of a variable is followed by the
// constant names after it: organization.plan and organization["plan"] read a property.
// Any other use of a record reads all of it.
func reads(checked *ast.AST) (sources []string) {
	root := ast.NavigateAST(checked)
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
		if source := source(e); source != "" {
			sources = append(sources, source)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources)
}

// readsIP reports whether an expression reads the client's IP.
func readsIP(checked *ast.AST) bool {
	isIP := func(e ast.NavigableExpr) bool {
		return e.Kind() == ast.IdentKind && strings.TrimPrefix(e.AsIdent(), ".") == eventIP
	}
	return len(ast.MatchDescendants(ast.NavigateAST(checked), isIP)) > 0
}

// source returns the source that begins with the variable e, "" if e is another one.
func source(e ast.NavigableExpr) string {
	variable := strings.TrimPrefix(e.AsIdent(), ".")
	if !isRecord(variable) && variable != string(schema.Token) {
		return ""
	}
	path := []string{variable}
	for selection, ok := selecting(e); ok; selection, ok = selecting(selection) {
		name, constant := selected(selection)
		if !constant || isRecord(variable) && len(path) == 2 {
			break
		}
		path = append(path, name)
	}
	return strings.Join(path, ".")
}

// selecting returns the expression that selects a member or an element of e.
func selecting(e ast.NavigableExpr) (ast.NavigableExpr, bool) {
	parent, ok := e.Parent()
	if !ok {
		return nil, false
	}
	switch parent.Kind() {
	case ast.SelectKind:
		return parent, true
	case ast.CallKind:
		call := parent.AsCall()
		return parent, call.FunctionName() == operators.Index && call.Args()[0].ID() == e.ID()
	}
	return nil, false
}

// selected returns the name that a selection has in the source, if it does.
func selected(selection ast.NavigableExpr) (string, bool) {
	if selection.Kind() == ast.SelectKind {
		return selection.AsSelect().FieldName(), true
	}
	key := selection.AsCall().Args()[1]
	if key.Kind() != ast.LiteralKind {
		return "", false
	}
	name, ok := key.AsLiteral().(types.String)
	return string(name), ok
}
