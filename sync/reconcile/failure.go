package reconcile

import (
	"errors"
	"fmt"
	"strings"

	"m2m-token-enricher/schema"
)

// Failure is a record that stays as it is, and why. The error shows no value of
// a property.
type Failure struct {
	ID  string
	Err error
	// Known are properties that are known all the same. They are set if the record
	// exists.
	Known schema.Record
}

// ErrIncomplete says that a run came to its end, but some records aren't what
// the source says.
var ErrIncomplete = errors.New("some records stay as they were")

// failures are the records that a run couldn't bring up to date.
type failures []kindFailure

type kindFailure struct {
	kind schema.Kind
	Failure
}

// named is how many failures are told each; the others are counted.
const named = 10

// err returns them as one error, nil if there is none.
func (f failures) err() error {
	if len(f) == 0 {
		return nil
	}
	var told []string
	for _, one := range f[:min(named, len(f))] {
		told = append(told, fmt.Sprintf("%s %.80q: %v", one.kind, one.ID, one.Err))
	}
	if more := len(f) - named; more > 0 {
		told = append(told, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%w: %d, all others are up to date: %s", ErrIncomplete, len(f), strings.Join(told, "; "))
}

func (f failures) of(kind schema.Kind) bool {
	for _, one := range f {
		if one.kind == kind {
			return true
		}
	}
	return false
}
