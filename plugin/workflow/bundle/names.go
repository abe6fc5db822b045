package bundle

import (
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"

	"m2m-token-enricher/schema"
)

// globals are the global variables of the runtime.
var globals = func() []string {
	names := strings.Fields("kinde console url util module exports URL URLSearchParams globalThis undefined NaN Infinity arguments")
	for _, name := range goja.New().GlobalObject().GetOwnPropertyNames() {
		if name != "eval" {
			names = append(names, name)
		}
	}
	return names
}()

// checkGlobal reports a global variable that the runtime doesn't have.
func (c *checker) checkGlobal(at ast.Node, name string) {
	if slices.Contains(globals, name) || slices.Contains(c.probed, name) || slices.Contains(objectMembers, name) || name == "require" {
		return // checkCall reports require
	}
	if instead := insteadOfGlobal[name]; instead != "" {
		c.add(at, "%s doesn't exist in a workflow: %s", name, instead)
		return
	}
	c.add(at, "%s is not defined%s", name, schema.DidYouMean(name, globals))
}

// namesAskedFor returns the global variables that the program sets or takes
// "typeof" of: it knows that they may be missing.
func (r *reader) namesAskedFor() (names []string) {
	r.each(func(node ast.Node) {
		var asked ast.Expression
		switch n := node.(type) {
		case *ast.UnaryExpression:
			if n.Operator == token.TYPEOF {
				asked = n.Operand
			}
		case *ast.AssignExpression:
			asked = n.Left
		}
		if asked == nil {
			return
		}
		if name, ok := strings.CutPrefix(r.meaning(asked), globalPrefix); ok {
			names = append(names, name)
		}
	})
	return names
}

// checkEvent reports a member that the event doesn't have.
func (c *checker) checkEvent(at ast.Node, path string) {
	dot := strings.LastIndexByte(path, '.')
	of, name := path[:dot], path[dot+1:]
	members, ok := eventMembers[of]
	switch {
	case !ok || slices.Contains(members, name) || slices.Contains(objectMembers, name):
	case path == "event.application":
		c.add(at, "the event has no event.application: the application's id is event.context.application.clientId")
	default:
		c.add(at, "the event of a token for a machine has no %s: %s has %s%s", path, of, strings.Join(members, ", "), schema.DidYouMean(name, members))
	}
}

// checkCall checks what a call sets, and what it can't call.
func (c *checker) checkCall(call *ast.CallExpression) {
	callee, arguments := c.meaning(call.Callee), call.ArgumentList
	switch {
	case callee == globalPrefix+"Function":
		c.add(call, "%s", noFunction)
	case callee == globalPrefix+"require" && !c.isText(arguments):
		c.add(call, "require doesn't exist in a workflow: %s", insteadOfGlobal["require"])
	case callee == "kinde.m2mToken.setCustomClaim" && len(arguments) > 0:
		c.checkName(arguments[0], arguments[0])
	case callee == globalPrefix+"Object.assign" && len(arguments) > 1 && c.meaning(arguments[0]) == claimsObject:
		for _, argument := range arguments[1:] {
			c.checkObject(argument)
		}
	}
}

func (c *checker) isText(arguments []ast.Expression) bool {
	if len(arguments) != 1 {
		return false
	}
	_, ok := arguments[0].(*ast.StringLiteral)
	return ok
}

// checkObject checks the names of an object whose members become claims.
func (c *checker) checkObject(object ast.Expression) {
	literal, ok := object.(*ast.ObjectLiteral)
	if !ok {
		return
	}
	for _, property := range literal.Value {
		switch p := property.(type) {
		case *ast.PropertyShort:
			c.checkClaimName(p, p.Name.Name.String())
		case *ast.PropertyKeyed:
			c.checkName(p, p.Key)
		}
	}
}

// checkAssigned checks a claim that is set by an assignment to the object that
// m2mTokenClaims returned.
func (c *checker) checkAssigned(left ast.Expression) {
	switch l := left.(type) {
	case *ast.DotExpression:
		if c.meaning(l.Left) == claimsObject {
			c.checkClaimName(l, l.Identifier.Name.String())
		}
	case *ast.BracketExpression:
		if c.meaning(l.Left) == claimsObject {
			c.checkName(l, l.Member)
		}
	}
}

// checkName checks the name of a claim, if it is always the same.
func (c *checker) checkName(at ast.Node, name ast.Expression) {
	if text, ok := c.literal(name); ok {
		c.checkClaimName(at, text)
	}
}

func (c *checker) checkClaimName(at ast.Node, name string) {
	if c.checkClaim == nil {
		return
	}
	if err := c.checkClaim(name); err != nil {
		c.add(at, "claim %v", err)
	}
}
