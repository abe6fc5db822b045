//go:build !linux

package kongtest

import (
	"context"
	"errors"
)

// listenerOf fails: it is implemented for Linux only.
func listenerOf(context.Context, string) (pid int, err error) {
	return 0, errors.New("only Linux shows who listens on a socket")
}
