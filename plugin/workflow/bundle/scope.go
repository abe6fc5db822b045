package bundle

import (
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
)

// variable is what a name stands for in a part of a program.
type variable struct {
	meaning string         // as in [reader.meaning], "" if unknown
	value   ast.Expression // that it is declared with, or its function
	several bool           // it is set to several values
	changed bool           // it is assigned to
}

// scope has the names that a part of a program declares.
type scope struct {
	outer *scope
	names map[string]*variable
}

// find returns the variable of a name, nil if it is a global one.
func (s *scope) find(name string) *variable {
	for ; s != nil; s = s.outer {
		if v := s.names[name]; v != nil {
			return v
		}
	}
	return nil
}

func (s *scope) declare(name string, value ast.Expression) {
	v := s.names[name]
	if v == nil {
		v = &variable{}
		s.names[name] = v
	}
	if value != nil {
		v.several = v.several || v.value != nil
		v.value = value
	}
}

// scopes are the scopes of a program by the nodes that open them.
type scopes map[ast.Node]*scope

// scopesOf finds what the parts of a program declare.
func scopesOf(program *ast.Program) scopes {
	all := scopes{}
	top := &scope{names: map[string]*variable{}}
	current, function := top, []*scope{top}
	walk(program, func(node ast.Node) {
		if f, ok := node.(*ast.FunctionDeclaration); ok && f.Function.Name != nil {
			current.declare(f.Function.Name.Name.String(), f.Function)
		}
		if c, ok := node.(*ast.ClassDeclaration); ok && c.Class.Name != nil {
			current.declare(c.Class.Name.Name.String(), c.Class)
		}
		if opens(node) {
			current = &scope{outer: current, names: map[string]*variable{}}
			all[node] = current
		}
		if isFunction(node) {
			function = append(function, current)
		}
		declare(node, current, function[len(function)-1])
	}, func(node ast.Node) {
		if isFunction(node) {
			function = function[:len(function)-1]
		}
		if opens(node) {
			current = current.outer
		}
	})
	all[program] = top
	return all
}

// declare adds what a node declares to the scope of its block or of its function.
func declare(node ast.Node, block, function *scope) {
	switch n := node.(type) {
	case *ast.FunctionLiteral:
		declareParameters(n.ParameterList, block)
		block.declare("arguments", nil)
		if n.Name != nil && block.names[n.Name.Name.String()] == nil {
			block.declare(n.Name.Name.String(), nil)
		}
	case *ast.ArrowFunctionLiteral:
		declareParameters(n.ParameterList, block)
	case *ast.ClassLiteral:
		if n.Name != nil {
			block.declare(n.Name.Name.String(), nil)
		}
	case *ast.VariableStatement:
		declareAll(n.List, function)
	case *ast.ForLoopInitializerVarDeclList:
		declareAll(n.List, function)
	case *ast.ForIntoVar:
		declareAll([]*ast.Binding{n.Binding}, function)
	case *ast.LexicalDeclaration:
		declareAll(n.List, block)
	case *ast.ForDeclaration:
		declareTarget(n.Target, nil, block)
	case *ast.CatchStatement:
		if n.Parameter != nil {
			declareTarget(n.Parameter, nil, block)
		}
	}
}

func declareParameters(list *ast.ParameterList, s *scope) {
	if list == nil {
		return
	}
	for _, parameter := range list.List {
		declareTarget(parameter.Target, nil, s)
	}
	if list.Rest != nil {
		declareTarget(list.Rest, nil, s)
	}
}

func declareAll(list []*ast.Binding, s *scope) {
	for _, binding := range list {
		declareTarget(binding.Target, binding.Initializer, s)
	}
}

// declareTarget adds the names of a target, which may be a pattern.
func declareTarget(target ast.Expression, value ast.Expression, s *scope) {
	switch t := target.(type) {
	case *ast.Identifier:
		s.declare(t.Name.String(), value)
	case *ast.AssignExpression: // a default
		declareTarget(t.Left, nil, s)
	case *ast.ObjectPattern:
		for _, property := range t.Properties {
			switch p := property.(type) {
			case *ast.PropertyShort:
				s.declare(p.Name.Name.String(), nil)
			case *ast.PropertyKeyed:
				declareTarget(p.Value, nil, s)
			}
		}
		if t.Rest != nil {
			declareTarget(t.Rest, nil, s)
		}
	case *ast.ArrayPattern:
		for _, element := range t.Elements {
			if element != nil {
				declareTarget(element, nil, s)
			}
		}
		if t.Rest != nil {
			declareTarget(t.Rest, nil, s)
		}
	}
}

func isFunction(node ast.Node) bool {
	switch node.(type) {
	case *ast.FunctionLiteral, *ast.ArrowFunctionLiteral, *ast.ClassStaticBlock:
		return true
	}
	return false
}

func opens(node ast.Node) bool {
	switch node.(type) {
	case *ast.BlockStatement, *ast.ForStatement, *ast.ForInStatement, *ast.ForOfStatement, *ast.CatchStatement, *ast.SwitchStatement, *ast.ClassLiteral:
		return true
	}
	return isFunction(node)
}

// plain reports whether an assignment replaces the value.
func plain(n *ast.AssignExpression) bool { return n.Operator == token.ASSIGN }
