package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"m2m-token-enricher/schema"
)

// Failure is a record that stays as it is, and why. The error shows no value of
// a property.
type Failure struct {
	ID  string
	Err error
	// Known are properties that could be read all the same. They are set if the
	// record exists.
	Known schema.Record
}

// ErrIncomplete says that a run completed, but some records differ from the
// source.
var ErrIncomplete = errors.New("some records stay as they were")

// failures are the records that a run couldn't bring up to date.
type failures []kindFailure

type kindFailure struct {
	kind schema.Kind
	Failure
}

// maxListed is how many failures an error lists; the others are counted.
const maxListed = 10

// err returns them as one error, nil if there are none.
func (f failures) err() error {
	if len(f) == 0 {
		return nil
	}
	var list []string
	for _, one := range f[:min(maxListed, len(f))] {
		list = append(list, fmt.Sprintf("%s %.80q: %v", one.kind, one.ID, one.Err))
	}
	if more := len(f) - maxListed; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%w: %d, all others are up to date: %s", ErrIncomplete, len(f), strings.Join(list, "; "))
}

func (f failures) of(kind schema.Kind) bool {
	return slices.ContainsFunc(f, func(one kindFailure) bool { return one.kind == kind })
}
