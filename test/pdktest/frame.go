// Package pdktest plays Kong at the other end of a plugin's connection. It speaks
// the plugin protocol by go-pdk's own types, and imports nothing of the product.
package pdktest

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// MaxFrame is the number of bytes that the plugin takes in one frame.
const MaxFrame = 64 << 20

// Message is a message of the protocol.
type Message = proto.Message

// Frame returns m in a frame: behind its length, little-endian in 32 bits.
func Frame(m Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err) // the messages of tests are valid
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(data))), data...)
}

// ReadFrame reads the content of a frame.
func ReadFrame(r io.Reader) ([]byte, error) {
	var size uint32
	if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
		return nil, err
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(r, frame)
	return frame, err
}

// Start is Kong's call that starts an instance.
func Start(sequence int64, name, config string) Message {
	return &kong_plugin_protocol.RpcCall{Sequence: sequence, Call: &kong_plugin_protocol.RpcCall_CmdStartInstance{
		CmdStartInstance: &kong_plugin_protocol.CmdStartInstance{Name: name, Config: []byte(config)}}}
}

// Status is Kong's call that asks for an instance.
func Status(sequence int64, id int32) Message {
	return &kong_plugin_protocol.RpcCall{Sequence: sequence, Call: &kong_plugin_protocol.RpcCall_CmdGetInstanceStatus{
		CmdGetInstanceStatus: &kong_plugin_protocol.CmdGetInstanceStatus{InstanceId: id}}}
}

// Close is Kong's call that closes an instance.
func Close(sequence int64, id int32) Message {
	return &kong_plugin_protocol.RpcCall{Sequence: sequence, Call: &kong_plugin_protocol.RpcCall_CmdCloseInstance{
		CmdCloseInstance: &kong_plugin_protocol.CmdCloseInstance{InstanceId: id}}}
}

// Event is Kong's call that has the plugin handle an event.
func Event(sequence int64, id int32, phase string) Message {
	return &kong_plugin_protocol.RpcCall{Sequence: sequence, Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{
		CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: id, EventName: phase}}}
}

// Text is a reply with a text. On the wire, a text is bytes, whatever the message
// is called.
func Text(text string) Message { return &kong_plugin_protocol.ByteString{V: []byte(text)} }

// Number is a reply with a number.
func Number(n int32) Message { return &kong_plugin_protocol.Int{V: n} }

// Body is a reply with a request's body.
func Body(body string) Message {
	return &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte(body)}}
}

// BodyFile is a reply with the path of a request's body.
func BodyFile(path string) Message {
	return &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_BodyFilepath{BodyFilepath: path}}
}

// BodyError is a reply with the reason why there is no body.
func BodyError(why string) Message {
	return &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Error{Error: why}}
}

// Route is a reply with a route of Kong's.
func Route(id string) Message {
	return &kong_plugin_protocol.Route{
		Id: id, CreatedAt: 1795786048, Name: "m2m", Protocols: []string{"http", "https"}, Paths: []string{"~/oauth2/token$"},
		HttpsRedirectStatusCode: 426, Service: &kong_plugin_protocol.ServiceKey{Id: "of the service"},
	}
}

// Headers is a reply with headers: texts and lists of texts.
func Headers(t testing.TB, headers map[string]any) Message {
	t.Helper()
	s, err := structpb.NewStruct(headers)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Sockets returns the two ends of a connection.
func Sockets(t testing.TB) (ours, theirs net.Conn) {
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
