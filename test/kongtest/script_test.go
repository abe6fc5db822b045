package kongtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// script is a plugin that sends recorded frames and compares what it gets.
type script struct {
	prefix string // of the stand-in
	phases []scriptedPhase
	events chan string // phases, as their events came
	done   chan error  // of each phase
}

// scriptedPhase is one event's frames.
type scriptedPhase struct {
	name   string
	frames []frameRecord
}

// newScript sorts frames into phases. The end of a connection that exit closed
// may have been recorded within the log phase, but belongs to the one before.
func newScript(t *testing.T, frames []frameRecord) *script {
	t.Helper()
	sc := &script{events: make(chan string, 10), done: make(chan error, 10)}
	for _, f := range frames {
		switch {
		case f.Kind == "cmd_handle_event":
			sc.phases = append(sc.phases, scriptedPhase{name: f.Note})
		case len(sc.phases) == 0 || f.Kind == "closed":
		default:
			last := &sc.phases[len(sc.phases)-1]
			last.frames = append(last.frames, f)
		}
	}
	return sc
}

func (sc *script) listen(t *testing.T) (socket string) {
	t.Helper()
	return listenUnix(t, func(conn net.Conn) { sc.converse(conn) })
}

// listenUnix accepts connections until the test ends.
func listenUnix(t *testing.T, serve func(net.Conn)) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "probe") // t.TempDir's may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "probe.socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); os.RemoveAll(dir) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return socket
}

func (sc *script) converse(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(conn)
	for {
		data, err := readFrame(in)
		if err != nil {
			return
		}
		call := &kong_plugin_protocol.RpcCall{}
		if err := proto.Unmarshal(data, call); err != nil {
			sc.done <- err
			return
		}
		reply := &kong_plugin_protocol.RpcReturn{Sequence: call.Sequence}
		if event := call.GetCmdHandleEvent(); event != nil {
			sc.events <- event.EventName
			exited, err := sc.play(conn, in, event)
			sc.done <- err
			if exited || err != nil {
				return
			}
		} else {
			reply.Return = &kong_plugin_protocol.RpcReturn_InstanceStatus{
				InstanceStatus: &kong_plugin_protocol.InstanceStatus{InstanceId: 7},
			}
		}
		writeMessage(conn, reply)
	}
}

// play sends the recorded frames of one event.
func (sc *script) play(w io.Writer, in io.Reader, event *kong_plugin_protocol.CmdHandleEvent) (exited bool, err error) {
	if event.InstanceId != 7 {
		return false, fmt.Errorf("event for instance %d", event.InstanceId)
	}
	for _, phase := range sc.phases {
		if phase.name != event.EventName {
			continue
		}
		for _, f := range phase.frames {
			exited, err := sc.frame(w, in, f)
			if exited || err != nil {
				return exited, err
			}
		}
		return false, nil
	}
	return false, fmt.Errorf("event %s was not recorded", event.EventName)
}

func (sc *script) frame(w io.Writer, in io.Reader, f frameRecord) (exited bool, err error) {
	switch f.Kind {
	case "end_of_event":
		return false, writeFrame(w, nil)
	case "pdk_call":
		args, err := f.message()
		if err != nil {
			return false, err
		}
		if err := errors.Join(writeFrame(w, []byte(f.Method)), writeMessage(w, args)); err != nil {
			return false, err
		}
		if f.Method != exitMethod {
			return false, nil
		}
		if _, err := readFrame(in); err != io.EOF {
			return true, fmt.Errorf("after exit: %v instead of the end", err)
		}
		return true, nil
	case "pdk_reply":
		got, err := readFrame(in)
		if err != nil {
			return false, fmt.Errorf("reply to %s: %w", f.Method, err)
		}
		return false, sc.compare(f, got)
	}
	return false, nil // rpc_return: converse sends it
}

func (sc *script) compare(f frameRecord, got []byte) error {
	if f.Method == "kong.nginx.get_var" { // recorded without its value
		if len(got) == 0 {
			return errors.New("empty reply to kong.nginx.get_var")
		}
		return nil
	}
	want, err := f.message()
	if err != nil {
		return err
	}
	if want == nil {
		if len(got) > 0 {
			return fmt.Errorf("reply to %s: %q instead of nothing", f.Method, got)
		}
		return nil
	}
	reply := want.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(got, reply); err != nil {
		return fmt.Errorf("reply to %s: %w", f.Method, err)
	}
	sc.level(reply)
	sc.level(want)
	if !proto.Equal(reply, want) {
		return fmt.Errorf("reply to %s is\n%v, want\n%v", f.Method, reply, want)
	}
	return nil
}

// level removes what varies from run to run.
func (sc *script) level(m proto.Message) {
	switch m := m.(type) {
	case *structpb.Struct:
		delete(m.Fields, "date")
	case *kong_plugin_protocol.RawBodyResult:
		if file, ok := m.Kind.(*kong_plugin_protocol.RawBodyResult_BodyFilepath); ok {
			file.BodyFilepath = strings.Replace(file.BodyFilepath, "<kong prefix>", sc.prefix, 1)
		}
	}
}

// message is the frame's protobuf message, nil for an empty one.
func (f frameRecord) message() (proto.Message, error) {
	if f.Type == "" {
		return nil, nil
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(f.Type))
	if err != nil {
		return nil, err
	}
	m := kind.New().Interface()
	if len(f.Data) == 0 {
		return m, nil
	}
	return m, protojson.Unmarshal(f.Data, m)
}

// check waits for every recorded phase, in order.
func (sc *script) check(t *testing.T) {
	t.Helper()
	for _, phase := range sc.phases {
		select {
		case got := <-sc.events:
			if got != phase.name {
				t.Errorf("event %s instead of %s", got, phase.name)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no event %s", phase.name)
		}
		if err := <-sc.done; err != nil {
			t.Errorf("%s: %v", phase.name, err)
		}
	}
	if len(sc.events) > 0 {
		t.Errorf("more events than recorded: %s", <-sc.events)
	}
}
