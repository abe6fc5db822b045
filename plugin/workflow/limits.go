//go:build !noworkflow

package workflow

import (
	"time"

	"github.com/dlclark/regexp2/v2"
)

// Limits of one event. Claims have those of the configuration, too.
const (
	// maxComputing is how long a script may compute, without the time in which it
	// waits. It is also how long a regular expression may be tried: goja reports one
	// that takes longer as "no match", and a script that was interrupted can't act on
	// that.
	maxComputing = 500 * time.Millisecond

	maxCalls  = 2000      // calls of functions in one another
	maxNested = 1000      // levels of a value that a built-in function descends into
	maxText   = 1 << 20   // UTF-16 units of a text that a built-in function reads or makes
	maxList   = 100_000   // elements of a list that a built-in function reads or makes
	maxTexts  = 64 << 10  // bytes that a printed line, an error or all claims have
	maxBody   = 256 << 10 // bytes of a request's body, header or URL

	maxPattern    = 2500 // units of a regular expression made of a text; lodash has one of 2000
	maxClaimDepth = 64   // levels of a claim's value
)

func init() { regexp2.DefaultMatchTimeout = maxComputing }
