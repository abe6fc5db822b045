package kongtest

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// GiveToWorkers makes path that of the user whom the workers of [Start]'s gateway
// run as, and with them the plugin. Only a real Kong that root starts has another
// one than this process.
func GiveToWorkers(path string) error {
	if os.Getenv("KONG_BIN") == "" || os.Geteuid() != 0 {
		return nil
	}
	user, err := workersUser()
	if err != nil {
		return err
	}
	return os.Chown(path, int(user.Uid), int(user.Gid))
}

// workersUser returns the user that the workers of a Kong run as which root
// starts: kong, or nobody where there is no such user.
func workersUser() (*syscall.Credential, error) {
	known, err := user.Lookup("kong")
	if errors.As(err, new(user.UnknownUserError)) {
		known, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find the user of Kong's workers: %w", err)
	}
	uid, err := strconv.ParseUint(known.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(known.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}
