package measure

import (
	"errors"
	"slices"
)

// Closers end what was started. Not for concurrent use.
type Closers []func() error

// Add adds a function that ends something.
func (c *Closers) Add(end func() error) { *c = append(*c, end) }

// Close ends all, the last started first.
func (c Closers) Close() error {
	var errs []error
	for _, end := range slices.Backward(c) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}
