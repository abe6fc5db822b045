package expression

import (
	"errors"
	"fmt"

	"m2m-token-enricher/schema"
)

// Limits of an expression.
const (
	// MaxResultSize limits the value of a claim, in bytes of JSON.
	MaxResultSize = schema.MaxPropertySize
	// MaxClaimSize limits each claim of the token that is read, in bytes.
	MaxClaimSize = 8 << 10

	maxNodes    = 5_000       // of the expression, with what its macros become
	maxPattern  = 5_000       // instructions of a regular expression
	maxCost     = 100_000     // of one evaluation, in CEL's unit of cost
	maxEstimate = 100_000_000 // of the evaluation with large records and tokens
	maxValue    = 1 << 16     // elements, or tens of bytes, of a value on the way to the result
)

// maxDepth is how deep lists and maps of a result may be nested.
const maxDepth = 100

// Why a value can't be read or written.
var (
	errTooLarge = fmt.Errorf("too large, with more than %d bytes or nested more than %d times", MaxResultSize, maxDepth)
	errNoJSON   = errors.New("a value that JSON doesn't have")
)
