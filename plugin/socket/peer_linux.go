package socket

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

const peersAreKnown = true

// peer returns the user that the other side ran as when it connected, as the
// kernel keeps it (SO_PEERCRED, unix(7)).
func peer(conn *net.UnixConn) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("ask for the peer's user: %w", err)
	}
	var credentials *syscall.Ucred
	var failure error
	err = raw.Control(func(fd uintptr) {
		credentials, failure = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, failure); err != nil {
		return 0, fmt.Errorf("ask for the peer's user: %w", err)
	}
	return credentials.Uid, nil
}
