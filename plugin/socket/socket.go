// Package socket makes Unix sockets that only some users can connect to.
// Whoever reaches Kong's socket can have the gateway's key sign.
package socket

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// socketPathLimit is how many bytes the path of a Unix socket may have.
const socketPathLimit = len(syscall.RawSockaddrUnix{}.Path) - 1

// A socket is bound as .m2XXXX/s beside its path. The name is short because that
// path has the same limit.
const (
	makingPrefix = ".m2"
	makingRandom = 4           // characters after it
	unnamed      = "s"         // the socket before it is renamed
	leftoverAge  = time.Minute // of a directory that a killed process left; a socket takes less than a millisecond

	directoryLimit = socketPathLimit - len("/"+makingPrefix+"/"+unnamed) - makingRandom // bytes
)

// listener is a Unix socket that accepts only processes which may connect: those
// of this process's user, of root, and of users.
type listener struct {
	*net.UnixListener
	users   []uint32
	refused func(why string)
}

// Listen listens at path for processes of this process's user, of root and of
// users. It closes each connection of another process at once, and calls refused with
// the user or why the user isn't known. That may happen often.
//
// Another process may listen at path already, as at a reload. It keeps its
// connections, and this one takes the path in one step. Neither removes it at the end.
//
// The umask doesn't matter, because Kong starts the plugin with none: the socket is
// bound in a directory of mode 0700 and gets its mode before its path. The mode lets
// the process's own user connect or, if there are users, everybody; then Accept
// decides.
func Listen(path string, users []uint32, refused func(why string)) (net.Listener, error) {
	if len(users) > 0 && !peersAreKnown {
		return nil, errors.New("open the socket: this system doesn't report who connects, so no other user can be allowed; leave out the flag")
	}
	mode := os.FileMode(0o600)
	if len(users) > 0 {
		mode = 0o666
	}
	l, err := listenUnix(path, mode)
	if err != nil {
		return nil, fmt.Errorf("open the socket: %w", err)
	}
	return &listener{UnixListener: l, users: users, refused: refused}, nil
}

// ListenAt is [Listen] for an address that may also be a host:port, where anybody can
// connect.
func ListenAt(address string, users []uint32, refused func(why string)) (net.Listener, error) {
	if !filepath.IsAbs(address) {
		return net.Listen("tcp", address)
	}
	return Listen(address, users, refused)
}

// listenUnix listens at path with a socket of that mode.
func listenUnix(path string, mode os.FileMode) (*net.UnixListener, error) {
	parent := filepath.Dir(path)
	if len(path) > socketPathLimit || len(parent) > directoryLimit {
		return nil, fmt.Errorf("%s: a Unix socket's path can have at most %d bytes, and its directory's %d; choose a shorter directory", path, socketPathLimit, directoryLimit)
	}
	removeLeftovers(parent)
	dir, err := privateDirectory(parent)
	if err != nil {
		return nil, err
	}
	defer os.Remove(dir)
	own := filepath.Join(dir, unnamed)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: own, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(own, mode)
	if err == nil {
		err = os.Rename(own, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(own))
	}
	return l, nil
}

// privateDirectory makes a new directory in dir that only this user can enter. No
// umask can make it more open.
func privateDirectory(dir string) (path string, err error) {
	for range 100 { // names that may be taken
		path = filepath.Join(dir, makingPrefix+rand.Text()[:makingRandom])
		if err = os.Mkdir(path, 0o700); !errors.Is(err, os.ErrExist) {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("%w; the plugin's user must be able to write %s", err, dir)
	}
	return path, nil
}

// removeLeftovers removes the directories of processes that were killed while they
// made a socket in dir. Those that can't be removed do no harm.
func removeLeftovers(dir string) {
	root, err := os.OpenRoot(dir) // a link to elsewhere isn't followed
	if err != nil {
		return
	}
	defer root.Close()
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), makingPrefix) || len(e.Name()) != len(makingPrefix)+makingRandom {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > leftoverAge {
			_ = root.Remove(filepath.Join(e.Name(), unnamed))
			_ = root.Remove(e.Name())
		}
	}
}

// Accept returns the next connection of a process that may connect. Others are
// closed at once.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peer(conn)
		if err == nil && mayConnect(uid, uint32(os.Geteuid()), l.users) {
			return conn, nil
		}
		_ = conn.Close()
		if err != nil {
			l.refused(err.Error())
		} else {
			l.refused(fmt.Sprintf("user %d", uid))
		}
	}
}

// mayConnect reports whether a process of uid may connect to a socket of own.
func mayConnect(uid, own uint32, users []uint32) bool {
	return uid == own || uid == 0 || slices.Contains(users, uid)
}
