package socket

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// stranger is a user that owns nothing here.
const stranger = 65534

// needsRoot skips a test that must be another user.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
}

// asUser runs act in a thread of its own that runs as uid, and then sends what
// kept it from that, or nil.
func asUser(uid int, act func()) <-chan error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		if _, _, failure := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); failure != 0 {
			done <- failure
			return
		}
		act()
		done <- nil
	}()
	return done
}

// connect connects in the thread that calls it, which net.Dial may not.
func connect(path string) (net.Conn, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}

// TestSocketPeers: a connection is served if its user may sign, and closed
// before a byte is read if not.
func TestSocketPeers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		uid    int
		others []uint32
		served bool
	}{
		{"the process's own user", os.Geteuid(), nil, true},
		{"a named user", stranger, []uint32{1, stranger}, true},
		{"another user than the named", stranger, []uint32{1}, false},
	} {
		for kind, open := range map[string]func(string, []uint32, func(string)) (net.Listener, error){"Listen": Listen, "ListenAt": ListenAt} {
			t.Run(tt.name+" "+kind, func(t *testing.T) {
				path := filepath.Join(passable(t), "s")
				refused := make(chan string, 1)
				listener, err := open(path, tt.others, func(why string) { refused <- why })
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
				if tt.uid != os.Geteuid() {
					needsRoot(t)
				}
				go serveWord(listener)
				var said []byte
				if failure := <-asUser(tt.uid, func() { said, err = everything(path) }); failure != nil {
					t.Fatal(failure)
				}
				if served := err == nil && string(said) == "served"; served != tt.served {
					t.Errorf("got %q, %v", said, err)
				}
				if tt.served {
					return
				}
				if got, want := <-refused, fmt.Sprintf("user %d", tt.uid); got != want {
					t.Errorf("refused %q, want %q", got, want)
				}
			})
		}
	}
}

// serveWord says "served" on each connection.
func serveWord(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "served")
		_ = conn.Close()
	}
}

// everything connects and reads all that comes.
func everything(path string) ([]byte, error) {
	conn, err := connect(path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return io.ReadAll(conn)
}

// TestSocketRule: whom the rule lets in, as a table, since no test can be every
// user.
func TestSocketRule(t *testing.T) {
	for _, tt := range []struct {
		name     string
		uid, own uint32
		others   []uint32
		want     bool
	}{
		{"own", 7, 7, nil, true},
		{"root", 0, 7, nil, true},
		{"another", 8, 7, nil, false},
		{"another, where the process is root", 8, 0, nil, false},
		{"named", 8, 7, []uint32{8}, true},
		{"another than named", 9, 7, []uint32{8}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := mayConnect(tt.uid, tt.own, tt.others); got != tt.want {
				t.Errorf("mayConnect(%d, %d, %v) = %v, want %v", tt.uid, tt.own, tt.others, got, tt.want)
			}
		})
	}
}
