package expression

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"

	"m2m-token-enricher/schema"
)

// checkCost refuses an expression whose work or whose values grow so fast that the
// limits of an evaluation, which count after each step, might count too late.
func checkCost(env *cel.Env, checked *cel.Ast) error {
	estimate, err := env.EstimateCost(checked, sizes{})
	switch {
	case err != nil:
		return fmt.Errorf("estimate the cost: %w", err)
	case estimate.Max > maxEstimate:
		return fmt.Errorf("may cost more than %d with large records and tokens; use fewer nested loops, or limit what they go through", maxEstimate)
	}
	return nil
}

// sizes are those of large variables and what is in them. The limits of an evaluation
// hold for larger ones, too.
type sizes struct{}

// Sizes of a large claim of the token.
const (
	manyElements = 2048
	longElement  = 64
)

// EstimateSize implements [cost.Estimator].
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := node.Path()
	if len(path) == 0 || variables[path[0]] == nil {
		return nil
	}
	limit := uint64(manyElements)
	switch last := path[len(path)-1]; {
	case len(path) == 1 && isRecord(last):
		limit = schema.MaxProperties
	case last == "@keys":
		limit = schema.MaxNameSize
	case isRecord(path[0]):
		limit = schema.MaxPropertySize
	case last == "@items":
		limit = longElement
	}
	return &cost.SizeEstimate{Min: 0, Max: limit}
}

// EstimateCallCost implements [cost.Estimator]: CEL knows the cost of its functions.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
