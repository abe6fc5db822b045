package expression

import (
	"math"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// number returns the JSON number text as a value of CEL. It is an int if it is
// written as an integer that fits in 64 bits, otherwise a double. A number whose
// digits a double can't keep is an error, because the claim would differ from it.
func number(text string) ref.Val {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && text != "-0" {
		return types.Int(n)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || digits(text) != digits(strconv.FormatFloat(f, 'e', -1, 64)) {
		return types.NewErr("not a number that a double can keep")
	}
	return types.Double(f)
}

// digits returns the significant digits of a number.
func digits(text string) string {
	if end := strings.IndexAny(text, "eE"); end >= 0 {
		text = text[:end]
	}
	return strings.Trim(strings.NewReplacer("-", "", ".", "").Replace(text), "0")
}

// finite reports whether JSON has the number.
func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
