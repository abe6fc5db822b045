package plugin

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// kongSide answers a handler's PDK calls with empty values, but for those in
// replies, and keeps the calls, the exit and the log.
type kongSide struct {
	replies map[string]proto.Message
	calls   []string
	writes  int // that the plugin made
	exit    *kong_plugin_protocol.ExitArgs
	log     []string
	err     error
}

func (k *kongSide) serve(conn net.Conn) {
	defer conn.Close()
	k.serveEvent(conn)
}

// serveEvent answers until the event ends.
func (k *kongSide) serveEvent(conn net.Conn) {
	for {
		method, err := readFrame(conn)
		if err != nil || len(method) == 0 {
			return // the handler is done
		}
		args, err := readFrame(conn)
		if err != nil {
			k.err = err
			return
		}
		k.calls = append(k.calls, string(method))
		switch {
		case string(method) == "kong.response.exit":
			k.exit = &kong_plugin_protocol.ExitArgs{}
			k.err = proto.Unmarshal(args, k.exit)
			return // as Kong does: there is no reply
		case strings.HasPrefix(string(method), "kong.log."):
			var list structpb.ListValue
			k.err = proto.Unmarshal(args, &list)
			k.log = append(k.log, list.Values[0].GetStringValue())
		}
		reply := []byte{}
		if m := k.replies[string(method)]; m != nil {
			if reply, err = proto.Marshal(m); err != nil {
				k.err = err
				return
			}
		}
		if _, err := conn.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(reply))), reply...)); err != nil {
			return
		}
	}
}

func readFrame(r io.Reader) ([]byte, error) {
	var size uint32
	if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
		return nil, err
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(r, frame)
	return frame, err
}

// counted counts the writes on a connection.
type counted struct {
	net.Conn
	writes *int
}

func (c counted) Write(b []byte) (int, error) {
	*c.writes++
	return c.Conn.Write(b)
}

func (c counted) CloseWrite() error { return c.Conn.(*net.UnixConn).CloseWrite() }

// sockets returns the two ends of a connection.
func sockets(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]net.Conn, 2)
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		if ends[i], err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// handle runs a handler against k and returns when both are done.
func (k *kongSide) handle(t *testing.T, handler func(*kong)) {
	t.Helper()
	ours, theirs := sockets(t)
	done := make(chan struct{})
	go func() { defer close(done); k.serve(ours) }()
	w := newWire(counted{theirs, &k.writes})
	side := &kong{wire: w}
	handler(side)
	if side.exited || w.settle() != nil {
		w.hangUp()
	}
	theirs.Close()
	<-done
	if k.err != nil {
		t.Fatal(k.err)
	}
}
