package libcrypto

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// trusted returns path without links, if only root and the user of this process
// can replace the file there. No other user owns the file or a directory above it,
// or may write to one.
//
// The linker opens the file later, by its name. Nobody whom this guards against
// can change what passed. Links don't matter, because the linker gets the path
// without them.
func trusted(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", err
	}
	for at := path; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return "", err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return "", fmt.Errorf("the owner of %s is unknown", at)
		}
		if reason := distrust(info.Mode(), int(stat.Uid), int(stat.Gid), os.Geteuid()); reason != "" {
			return "", fmt.Errorf("%s %s", at, reason)
		}
		if at == filepath.Dir(at) {
			return path, nil
		}
	}
}

// distrust returns why a file or directory isn't safe for a process of user, "" if
// it is. Root's group counts as root, because Kong's images let it write kong's
// files. For a process of root it doesn't: root has more rights than its group. In
// a directory with the sticky bit, only owners rename.
func distrust(mode fs.FileMode, owner, group, user int) string {
	sticky := mode.IsDir() && mode&fs.ModeSticky != 0
	switch {
	case mode&fs.ModeSymlink != 0:
		return "became a link of somebody"
	case owner != 0 && owner != user:
		return fmt.Sprintf("belongs to another user (uid %d), who could replace the library: run as that user, or give it to root", owner)
	case mode&0o002 != 0 && !sticky:
		return fmt.Sprintf("may be written by other users (mode %04o), who could replace the library: chmod o-w", mode.Perm())
	case mode&0o020 != 0 && !sticky && (group != 0 || user == 0):
		return fmt.Sprintf("may be written by the users of a group (mode %04o, gid %d), who could replace the library: chmod g-w", mode.Perm(), group)
	}
	return ""
}
