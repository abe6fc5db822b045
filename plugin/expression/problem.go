package expression

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
)

// maxErrors is how many errors of a source are reported.
const maxErrors = 5

// described returns the errors that CEL found, each with its line and column.
func described(issues *cel.Issues) error {
	var errs []error
	for i, e := range issues.Errors() {
		if i == maxErrors {
			errs = append(errs, fmt.Errorf("%d more errors", len(issues.Errors())-maxErrors))
			break
		}
		errs = append(errs, located(e.Location, message(e.Message)))
	}
	return cmp.Or(errors.Join(errs...), issues.Err())
}

// located returns an error at a place of the source, if it has one. Columns count
// from 1.
func located(at common.Location, problem string) error {
	if at.Line() < 1 {
		return fmt.Errorf("%.500s", problem)
	}
	return fmt.Errorf("%d:%d: %.500s", at.Line(), at.Column()+1, problem)
}

// operator is CEL's name of an operator, such as '_+_'.
var operator = regexp.MustCompile(`'[^' ]*_[^\w' ][^' ]*'`)

// undeclared is how CEL begins to report a name that it doesn't know.
const undeclared = "undeclared reference to '"

// message returns CEL's message without what doesn't help here, and with what does.
func message(text string) string {
	text, _, _ = strings.Cut(text, " expecting {")  // every possible next token
	text, _, _ = strings.Cut(text, " (enable with") // for who builds the environment
	text = strings.Replace(text, "Syntax error", "syntax error", 1)
	text = operator.ReplaceAllStringFunc(text, func(name string) string { return strings.ReplaceAll(name, "_", "") })
	name, after, found := strings.Cut(strings.TrimPrefix(text, undeclared), "'")
	if found && isEvent(name) && strings.HasPrefix(text, undeclared) && !strings.Contains(after, "did you mean") {
		text += "; the event has only " + strings.Join(eventNames(), ", ")
	}
	return text
}

// checkMessages refuses protocol buffers: no claim and no variable is one.
func checkMessages(checked *ast.AST) error {
	var errs []error
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.StructKind {
			errs = append(errs, located(at(checked, e.ID()), "a message can't be a part of a claim; write a map"))
		}
	}))
	return errors.Join(errs...)
}

// at returns where the node id of an expression starts.
func at(checked *ast.AST, id int64) common.Location {
	return checked.SourceInfo().GetStartLocation(id)
}
