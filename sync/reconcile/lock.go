package reconcile

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrInUse says that another run uses the file of the checkpoint.
var ErrInUse = errors.New("another run uses this file")

// lock keeps other runs away from the checkpoint until release is called or the
// process ends. It doesn't wait; the error wraps ErrInUse if another run has it.
// The lock is on a file beside, which stays: the checkpoint itself is replaced.
func (c *Checkpoint) lock() (release func(), err error) {
	if c == nil {
		return func() {}, nil
	}
	file, err := os.OpenFile(c.path+".lock", os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the checkpoint: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close() // nothing was written to it
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("checkpoint %s: %w", c.path, ErrInUse)
		}
		return nil, fmt.Errorf("lock the checkpoint %s: %w", c.path, err)
	}
	return func() { _ = file.Close() }, nil // which ends the lock
}
