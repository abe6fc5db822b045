package bundle

import (
	"strings"

	"github.com/dop251/goja/ast"
)

// What an expression means, if it isn't a path such as "kinde.fetch",
// "event.context" or "library.m2mTokenClaims":
const (
	claimsObject = "claims"  // what m2mTokenClaims returns
	globalPrefix = "global:" // before the name of a global variable
)

// reader follows what the names in a program mean: through declarations with a
// value, assignments, destructuring, and arguments of the program's own functions.
// It doesn't follow values through objects and what functions return.
type reader struct {
	program *ast.Program
	scopes  scopes
	current *scope
	strict  bool // a value that isn't known makes a name unknown

	parameters map[*ast.Binding]string // what functions get, by parameter
}

// read learns the meanings. A name that is used before its declaration takes
// another round.
func read(program *ast.Program) *reader {
	r := &reader{program: program, scopes: scopesOf(program), parameters: map[*ast.Binding]string{}}
	for _, strict := range []bool{false, false, false, true} {
		r.strict = strict
		r.each(r.learn)
	}
	return r
}

// each visits the program's nodes, with the scope of each.
func (r *reader) each(visit func(ast.Node)) {
	walk(r.program, func(node ast.Node) {
		if s := r.scopes[node]; s != nil {
			r.current = s
		}
		visit(node)
	}, func(node ast.Node) {
		if s := r.scopes[node]; s != nil {
			r.current = s.outer
		}
	})
}

func (r *reader) learn(node ast.Node) {
	switch n := node.(type) {
	case *ast.Binding:
		if n.Initializer != nil {
			r.bind(n.Target, r.meaning(n.Initializer))
		}
	case *ast.AssignExpression:
		if name, ok := n.Left.(*ast.Identifier); ok {
			if v := r.current.find(name.Name.String()); v != nil {
				v.changed = true
			}
		}
		if plain(n) {
			r.bind(n.Left, r.meaning(n.Right))
		}
		r.learnEntry(n)
	case *ast.CallExpression:
		if name, ok := n.Callee.(*ast.Identifier); ok {
			if v := r.current.find(name.Name.String()); v != nil && !v.several {
				r.bindParameters(v.value, n.ArgumentList)
			}
		}
	}
}

// bind gives the names of a target, which may be a pattern, their meaning.
func (r *reader) bind(target ast.Expression, meaning string) {
	switch t := target.(type) {
	case *ast.Identifier:
		if v := r.current.find(t.Name.String()); v != nil {
			v.mean(meaning, r.strict)
		}
	case *ast.AssignExpression:
		r.bind(t.Left, meaning)
	case *ast.ObjectPattern:
		r.eachProperty(t, meaning, func(_ ast.Node, target ast.Expression, path string) { r.bind(target, path) })
	}
}

// mean notes what a variable is set to.
func (v *variable) mean(meaning string, strict bool) {
	switch {
	case meaning == v.meaning:
	case v.meaning == "" && !v.several:
		v.meaning = meaning
	case meaning != "" || strict:
		v.meaning, v.several = "", true
	}
}

// eachProperty calls what with each property of a pattern: its target and its
// meaning, if the pattern takes a value of the meaning apart.
func (r *reader) eachProperty(pattern *ast.ObjectPattern, meaning string, what func(at ast.Node, target ast.Expression, path string)) {
	for _, property := range pattern.Properties {
		switch p := property.(type) {
		case *ast.PropertyShort:
			what(p, &p.Name, member(meaning, p.Name.Name.String()))
		case *ast.PropertyKeyed:
			name, ok := r.literal(p.Key)
			if !ok {
				name = ""
			}
			what(p, p.Value, member(meaning, name))
		}
	}
}

// bindParameters gives a function's parameters the meanings of a call's arguments.
func (r *reader) bindParameters(function ast.Expression, arguments []ast.Expression) {
	var list *ast.ParameterList
	switch f := function.(type) {
	case *ast.FunctionLiteral:
		list = f.ParameterList
	case *ast.ArrowFunctionLiteral:
		list = f.ParameterList
	}
	for i, argument := range arguments {
		if list != nil && i < len(list.List) {
			r.bindIn(function, list.List[i], r.meaning(argument))
		}
	}
}

// bindIn binds a parameter of a function.
func (r *reader) bindIn(function ast.Node, parameter *ast.Binding, meaning string) {
	if meaning != "" {
		r.parameters[parameter] = meaning
	}
	if s := r.scopes[function]; s != nil {
		before := r.current
		r.current = s
		r.bind(parameter.Target, meaning)
		r.current = before
	}
}

// meaning returns what an expression means, "" if that isn't known.
func (r *reader) meaning(expression ast.Expression) string {
	switch e := expression.(type) {
	case *ast.Identifier:
		return r.named(e.Name.String())
	case *ast.DotExpression:
		return member(r.meaning(e.Left), e.Identifier.Name.String())
	case *ast.BracketExpression:
		if name, ok := r.literal(e.Member); ok {
			return member(r.meaning(e.Left), name)
		}
	case *ast.SequenceExpression:
		return r.meaning(e.Sequence[len(e.Sequence)-1])
	case *ast.OptionalChain:
		return r.meaning(e.Expression)
	case *ast.Optional:
		return r.meaning(e.Expression)
	case *ast.AwaitExpression:
		return r.meaning(e.Argument)
	case *ast.AssignExpression:
		return r.meaning(e.Right)
	case *ast.CallExpression:
		return r.returned(e)
	}
	return ""
}

func (r *reader) named(name string) string {
	if v := r.current.find(name); v != nil {
		return v.meaning
	}
	switch name {
	case "kinde":
		return name
	case "undefined":
		return ""
	}
	return globalPrefix + name
}

// returned returns what a call returns, of the few functions that are known.
func (r *reader) returned(call *ast.CallExpression) string {
	if name, ok := call.Callee.(*ast.Identifier); ok && len(call.ArgumentList) > 0 {
		switch name.Name.String() {
		case "__toESM": // of esbuild
			return r.meaning(call.ArgumentList[0])
		case "require":
			if path, ok := r.literal(call.ArgumentList[0]); ok && path == Library {
				return "library"
			}
		}
	}
	if isClaims(r.meaning(call.Callee)) {
		return claimsObject
	}
	return ""
}

func isClaims(function string) bool {
	switch strings.TrimPrefix(function, "library.") {
	case "m2mTokenClaims", "m2mTokenCustomClaims", "m2mCustomClaims":
		return strings.HasPrefix(function, "library.")
	}
	return false
}

// member returns what a member of something means.
func member(of, name string) string {
	switch {
	case of == "" || name == "":
		return ""
	case of == globalPrefix+"globalThis" && name == "kinde":
		return name
	case of == globalPrefix+"globalThis":
		return globalPrefix + name
	case of == "library" && name == "default":
		return of // of a CommonJS module
	}
	return of + "." + name
}

// literal returns the text of an expression that is always the same text.
func (r *reader) literal(expression ast.Expression) (string, bool) {
	switch e := expression.(type) {
	case *ast.StringLiteral:
		return e.Value.String(), true
	case *ast.TemplateLiteral:
		if e.Tag == nil && len(e.Expressions) == 0 && len(e.Elements) == 1 {
			return e.Elements[0].Parsed.String(), true
		}
	case *ast.Identifier:
		v := r.current.find(e.Name.String())
		if v == nil || v.several || v.changed {
			return "", false
		}
		if _, ok := v.value.(*ast.Identifier); !ok && v.value != nil {
			return r.literal(v.value)
		}
	}
	return "", false
}
