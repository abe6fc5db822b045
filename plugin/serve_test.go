package plugin

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"m2m-token-enricher/plugin/socket"
)

// served is a server with one connection of Kong's to it.
type served struct {
	*testing.T
	server *server
	conn   net.Conn
	path   string
	end    context.CancelFunc
	ended  chan error
}

func serve(t *testing.T) *served {
	t.Helper()
	s := &served{T: t, server: newServer(newTestInstances(t)), path: filepath.Join(t.TempDir(), "s"), ended: make(chan error, 1)}
	listener, err := socket.Listen(s.path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.end = cancel
	go func() { s.ended <- s.server.serve(ctx, listener) }()
	s.conn = s.dial()
	t.Cleanup(func() {
		cancel()
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
		s.ended <- nil
	})
	return s
}

func (s *served) dial() net.Conn {
	s.Helper()
	conn, err := net.Dial("unix", s.path)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.Fatal(err)
	}
	return conn
}

func (s *served) send(conn net.Conn, m proto.Message) {
	s.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := conn.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(data))), data...)); err != nil {
		s.Fatal(err)
	}
}

// returned reads the RpcReturn that comes next, and fails if it isn't to
// sequence.
func (s *served) returned(conn net.Conn, sequence int64) *kong_plugin_protocol.RpcReturn {
	s.Helper()
	data, err := readFrame(conn)
	if err != nil {
		s.Fatal(err)
	}
	var r kong_plugin_protocol.RpcReturn
	if err := proto.Unmarshal(data, &r); err != nil || r.Sequence != sequence {
		s.Fatalf("return to %d, not %d: %v", r.Sequence, sequence, err)
	}
	return &r
}

func (s *served) start(config string) int32 {
	s.Helper()
	s.send(s.conn, &kong_plugin_protocol.RpcCall{Sequence: 1, Call: &kong_plugin_protocol.RpcCall_CmdStartInstance{
		CmdStartInstance: &kong_plugin_protocol.CmdStartInstance{Name: Name, Config: []byte(config)}}})
	status := s.returned(s.conn, 1).GetInstanceStatus()
	if status.GetName() != Name || status.GetInstanceId() == 0 || status.GetStartedAt() == 0 {
		s.Fatalf("status %v", status)
	}
	return status.InstanceId
}

func event(sequence int64, id int32, phase string) proto.Message {
	return &kong_plugin_protocol.RpcCall{Sequence: sequence, Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{
		CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: id, EventName: phase}}}
}

// TestInstances: a configuration is one instance whoever starts it and however
// often; another one is another.
func TestInstances(t *testing.T) {
	s := serve(t)
	first := s.start(goodConfig)
	if again := s.start(strings.Replace(goodConfig, `"__seq__":1`, `"__seq__":2`, 1)); again != first {
		t.Errorf("%d and %d for one configuration", first, again)
	}
	if other := s.start(observing); other == first {
		t.Errorf("%d for two configurations", other)
	}
	for _, command := range []*kong_plugin_protocol.RpcCall{
		{Sequence: 5, Call: &kong_plugin_protocol.RpcCall_CmdGetInstanceStatus{CmdGetInstanceStatus: &kong_plugin_protocol.CmdGetInstanceStatus{InstanceId: first}}},
		{Sequence: 5, Call: &kong_plugin_protocol.RpcCall_CmdCloseInstance{CmdCloseInstance: &kong_plugin_protocol.CmdCloseInstance{InstanceId: first}}},
		{Sequence: 5, Call: &kong_plugin_protocol.RpcCall_CmdGetInstanceStatus{CmdGetInstanceStatus: &kong_plugin_protocol.CmdGetInstanceStatus{InstanceId: first}}},
	} { // one worker's close ends nothing for the others
		s.send(s.conn, command)
		if id := s.returned(s.conn, 5).GetInstanceStatus().GetInstanceId(); id != first {
			t.Errorf("instance %d", id)
		}
	}
}

// TestUnknownInstance: the connection is closed, which makes Kong start it.
func TestUnknownInstance(t *testing.T) {
	s := serve(t)
	s.send(s.conn, event(2, 12345, "access"))
	if frame, err := readFrame(s.conn); err == nil {
		t.Errorf("got %q", frame)
	}
}

// TestUnknownPhase: an event that the plugin has nothing to do with ends in
// order.
func TestUnknownPhase(t *testing.T) {
	s := serve(t)
	id := s.start(goodConfig)
	s.send(s.conn, event(2, id, "log"))
	if frame, err := readFrame(s.conn); err != nil || len(frame) != 0 {
		t.Fatalf("got %q, %v", frame, err)
	}
	s.returned(s.conn, 2)
	s.start(goodConfig) // the connection goes on
}

// TestBusy: an instance is busy while an event runs in it, and no longer.
func TestBusy(t *testing.T) {
	s := serve(t)
	id := s.start(goodConfig)
	var during int32
	s.server.handle = func(i *instance, _ string, _ *kong) { during = i.busy.Load() }
	s.send(s.conn, event(2, id, "access"))
	if frame, err := readFrame(s.conn); err != nil || len(frame) != 0 {
		t.Fatalf("got %q, %v", frame, err)
	}
	s.returned(s.conn, 2)
	s.start(goodConfig) // the same connection goes on when the event is over
	if after := s.server.instances.find(id).busy.Load(); during != 1 || after != 0 {
		t.Errorf("%d events during one, %d after it", during, after)
	}
}

// TestTokenPassesInOrder: headers are set and the event ended in one write, and
// the connection serves the next event.
func TestTokenPassesInOrder(t *testing.T) {
	s := serve(t)
	id := s.start(observing)
	for sequence := int64(2); sequence < 5; sequence++ {
		s.send(s.conn, event(sequence, id, "response"))
		k := &kongSide{replies: map[string]proto.Message{
			"kong.service.response.get_status":   &kong_plugin_protocol.Int{V: 200},
			"kong.service.response.get_raw_body": &kong_plugin_protocol.ByteString{V: []byte(`{"access_token":"x"}`)},
			"kong.request.get_raw_body":          &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte("grant_type=client_credentials&client_id=a&client_secret=b")}},
		}}
		k.serveEvent(s.conn)
		if k.err != nil || k.exit != nil || len(k.calls) == 0 {
			t.Fatalf("calls %v, exit %v, %v", k.calls, k.exit, k.err)
		}
		s.returned(s.conn, sequence)
	}
}

// TestDrain: told to end, the server lets the event that runs end and closes
// the connections that are idle.
func TestDrain(t *testing.T) {
	s := serve(t)
	id := s.start(observing)
	idle := s.dial()
	s.send(idle, event(9, id, "log"))
	if _, err := readFrame(idle); err != nil {
		t.Fatal(err)
	}
	s.returned(idle, 9)
	s.send(s.conn, event(2, id, "response"))
	if _, err := readFrame(s.conn); err != nil { // the event has begun: a method's name
		t.Fatal(err)
	}
	s.end()
	if _, err := readFrame(idle); err == nil {
		t.Error("an idle connection stays")
	}
	select {
	case err := <-s.ended:
		t.Fatalf("it has ended with an event under way: %v", err)
	default:
	}
	if _, err := readFrame(s.conn); err != nil { // its arguments
		t.Fatal(err)
	}
	k := &kongSide{}
	if _, err := s.conn.Write(make([]byte, 4)); err != nil { // the reply to it
		t.Fatal(err)
	}
	k.serveEvent(s.conn)
	s.returned(s.conn, 2)
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	s.ended <- nil
	if _, err := os.Stat(s.path); err != nil {
		t.Errorf("the socket is gone, which may be another process's by now: %v", err)
	}
}

// FuzzFrames: whatever comes over the socket, the server lives and answers the
// next connection.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{4, 0, 0, 0, 8, 1, 8, 1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0})
	for _, m := range []proto.Message{event(1, 7, "response"), &kong_plugin_protocol.RpcCall{Sequence: 1, Call: &kong_plugin_protocol.RpcCall_CmdStartInstance{
		CmdStartInstance: &kong_plugin_protocol.CmdStartInstance{Name: Name, Config: []byte("{}")}}}} {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(binary.LittleEndian.AppendUint32(nil, uint32(len(data))), data...))
	}
	started := newInstances()
	started.known[7] = &instance{id: 7, all: started, mistakes: errMessage}
	server := newServer(started)
	f.Fuzz(func(t *testing.T, sent []byte) {
		ours, theirs := sockets(t)
		done := make(chan struct{})
		go func() { defer close(done); server.connection(theirs) }()
		if err := ours.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Write(sent); err == nil {
			_ = ours.(*net.UnixConn).CloseWrite()
		}
		buffer := make([]byte, 1<<16)
		for {
			if _, err := ours.Read(buffer); err != nil {
				break
			}
		}
		ours.Close()
		<-done
	})
}
