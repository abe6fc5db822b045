// Package expression computes claims by expressions in CEL, the Common Expression
// Language. It is pure and bounded: an expression sees nothing but its [Values], and
// its source, its work, its memory and its result are limited.
package expression

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/schema"
)

// Expression is a compiled expression. Safe for concurrent use.
type Expression struct {
	typ     string // of the claim
	checked *ast.AST
	program cel.Program
	reads   []string
	readsIP bool
}

// Compile compiles source for a claim of type typ. The error joins every error, each
// with its line and column.
func Compile(source, typ string) (*Expression, error) {
	if len(source) > schema.MaxExpressionSize {
		return nil, fmt.Errorf("longer than %d bytes", schema.MaxExpressionSize)
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, described(issues)
	}
	x := &Expression{typ: typ, checked: checked.NativeRep()}
	if err := errors.Join(checkMessages(x.checked), checkType(typ, checked.OutputType()), checkCost(env, checked)); err != nil {
		return nil, err
	}
	x.program, err = env.Program(checked, cel.CostLimit(maxCost), cel.MemoryLimit(maxValue), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, failed(x.checked, err)
	}
	x.reads, x.readsIP = reads(x.checked), readsIP(x.checked)
	return x, nil
}

// Reads returns what the expression may read, each as a source of [schema.Claim]: a
// property KIND.KEY or a claim token.PATH. KIND alone is a whole record, and token
// alone the whole token.
func (x *Expression) Reads() []string { return x.reads }

// ReadsIP reports whether the expression reads the client's IP.
func (x *Expression) ReadsIP() bool { return x.readsIP }

// Value evaluates the expression. The error says where it failed, without a value of
// v. It wraps [ErrMissing] if what the expression reads is missing.
func (x *Expression) Value(v *Values) (jsontext.Value, error) {
	result, _, err := x.program.Eval(v)
	if err != nil {
		return nil, failed(x.checked, err)
	}
	text, err := appendJSON(nil, result, 0)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the result of expr is %w", err)
	case !isOfType(x.typ, result):
		return nil, fmt.Errorf("the result of expr is not of type %s", x.typ)
	}
	return text, nil
}
