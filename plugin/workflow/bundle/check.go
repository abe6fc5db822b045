package bundle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
	"github.com/evanw/esbuild/pkg/api"

	"m2m-token-enricher/schema"
)

// Check reads the workflow's own files, not those of packages, and reports every
// mistake that shows without running them: a binding that is used and isn't one
// of bindings (such as "kinde.fetch"), a claim whose name checkClaim refuses, a
// member that the event doesn't have, a global variable that the runtime doesn't
// have.
func (b *Bundle) Check(bindings []string, checkClaim func(name string) error) error {
	out, err := b.repository.compose(b.entry, api.ES2020, true) // ?. and ?? stay
	if err != nil {
		return err
	}
	positions, err := out.positions()
	if err != nil {
		return err
	}
	program, err := goja.Parse(positions.name, string(out.code), parser.WithDisableSourceMaps)
	if err != nil {
		return positions.syntaxError(err)
	}
	c := &checker{reader: read(program), positions: positions, bindings: bindings, checkClaim: checkClaim}
	c.probed = c.namesAskedFor()
	c.each(c.check)
	return join(c.mistakes)
}

// checker finds the mistakes of a program.
type checker struct {
	*reader
	positions  *positions
	bindings   []string
	checkClaim func(string) error
	probed     []string // globals whose absence the program expects
	mistakes   []mistake
}

// add reports a mistake at a node, unless that is code of esbuild.
func (c *checker) add(at ast.Node, format string, args ...any) {
	m := c.positions.at(int(at.Idx0())-c.program.File.Base(), fmt.Sprintf(format, args...))
	if m.file != "" {
		c.mistakes = append(c.mistakes, m)
	}
}

func (c *checker) check(node ast.Node) {
	switch n := node.(type) {
	case *ast.Identifier:
		if c.current.find(n.Name.String()) == nil {
			c.checkGlobal(n, n.Name.String())
		}
	case *ast.ObjectLiteral:
		for _, property := range n.Value {
			if short, ok := property.(*ast.PropertyShort); ok && c.current.find(short.Name.Name.String()) == nil {
				c.checkGlobal(short, short.Name.Name.String())
			}
		}
	case *ast.DotExpression:
		c.checkMember(n, c.meaning(n))
	case *ast.BracketExpression:
		c.checkMember(n, c.meaning(n))
	case *ast.Binding:
		if n.Initializer != nil {
			c.checkPattern(n.Target, c.meaning(n.Initializer))
		}
	case *ast.AssignExpression:
		c.checkPattern(n.Left, c.meaning(n.Right))
		c.checkAssigned(n.Left)
	case *ast.CallExpression:
		c.checkCall(n)
	case *ast.NewExpression:
		if c.meaning(n.Callee) == globalPrefix+"Function" {
			c.add(n, "%s", noFunction)
		}
	case *ast.FunctionLiteral:
		c.checkParameters(n.ParameterList)
	case *ast.ArrowFunctionLiteral:
		c.checkParameters(n.ParameterList)
	}
}

// checkPattern checks the members that a pattern takes of a value.
func (c *checker) checkPattern(target ast.Expression, meaning string) {
	switch t := target.(type) {
	case *ast.AssignExpression:
		c.checkPattern(t.Left, meaning)
	case *ast.ObjectPattern:
		c.eachProperty(t, meaning, func(at ast.Node, target ast.Expression, path string) {
			c.checkMember(at, path)
			c.checkPattern(target, path)
		})
	}
}

// checkParameters checks the patterns among a function's parameters.
func (c *checker) checkParameters(list *ast.ParameterList) {
	if list == nil {
		return
	}
	for _, parameter := range list.List {
		if meaning := c.parameters[parameter]; meaning != "" {
			c.checkPattern(parameter.Target, meaning)
		}
	}
}

// checkMember checks a path that something means.
func (c *checker) checkMember(at ast.Node, path string) {
	of, name, _ := strings.Cut(path, ".")
	switch {
	case strings.HasPrefix(path, globalPrefix):
		if rest := strings.TrimPrefix(path, globalPrefix); !strings.Contains(rest, ".") {
			c.checkGlobal(at, rest)
		}
	case of == "kinde" && name != "" && !strings.Contains(name, "."):
		c.checkBinding(at, path, path)
	case of == "library":
		c.checkLibrary(at, name)
	case of == "event":
		c.checkEvent(at, path)
	}
}

// checkBinding reports a binding that isn't declared, which use needs.
func (c *checker) checkBinding(at ast.Node, binding, use string) {
	name := strings.TrimPrefix(binding, "kinde.")
	switch {
	case name == "cache" || slices.Contains(c.bindings, binding) || slices.Contains(objectMembers, name):
	case slices.Contains(otherTriggers, name):
		c.add(at, "%s isn't for M2M tokens", use)
	case !slices.Contains(bindingNames, name):
		c.add(at, "there is no %s%s", binding, schema.DidYouMean(binding, c.known()))
	case use == binding:
		c.add(at, "%s isn't declared: add %q to bindings in workflowSettings", use, binding)
	default:
		c.add(at, "%s needs the binding %s: add %q to bindings in workflowSettings", use, binding, binding)
	}
}

func (c *checker) known() []string {
	names := slices.Clone(c.bindings)
	for _, name := range bindingNames {
		names = append(names, "kinde."+name)
	}
	return names
}

// checkLibrary reports a function of the library whose bindings aren't declared.
func (c *checker) checkLibrary(at ast.Node, name string) {
	for _, binding := range needs[name] {
		c.checkBinding(at, "kinde."+binding, name)
	}
}
