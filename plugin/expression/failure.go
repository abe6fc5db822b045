package expression

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// ErrMissing is wrapped if a property, a claim, a key or an element that the
// expression reads is missing.
var ErrMissing = errors.New("missing")

// failed returns why an evaluation failed. CEL's own text may have a value of a record
// or a token, so only the place is taken from it.
func failed(checked *ast.AST, err error) error {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		return errors.New("expr needs too much work for these records: it ended at its limit")
	}
	var node *types.Err
	if !errors.As(err, &node) {
		return errors.New("expr failed")
	}
	text, where := node.String(), ""
	if start := at(checked, node.NodeID()); start.Line() > 0 {
		where = fmt.Sprintf(" at %d:%d", start.Line(), start.Column()+1)
	}
	if strings.HasPrefix(text, "no such key") || strings.HasPrefix(text, "index out of bounds") {
		return fmt.Errorf("expr needs %s%s, which is %w", named(checked, node.NodeID()), where, ErrMissing)
	}
	return fmt.Errorf("expr failed%s", where)
}

// named returns the source that the selection id reads.
func named(checked *ast.AST, id int64) string {
	for _, e := range ast.MatchDescendants(ast.NavigateAST(checked), ast.KindMatcher(ast.IdentKind)) {
		for selection, ok := selecting(e); ok; selection, ok = selecting(selection) {
			if source := source(e); source != "" && selection.ID() == id {
				return source
			}
		}
	}
	return "a key or an element"
}
