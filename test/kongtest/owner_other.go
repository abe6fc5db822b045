//go:build !linux

package kongtest

import (
	"context"
	"errors"
)

// listenerOf fails: only Linux is asked who listens on a Unix socket.
func listenerOf(context.Context, string) (pid int, err error) {
	return 0, errors.New("this system isn't asked who listens on a socket")
}
