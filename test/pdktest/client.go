package pdktest

import (
	"net"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

// Client is a connection of Kong's to a plugin's socket. Every failure ends the
// test.
type Client struct {
	net.Conn
	t testing.TB
}

// Dial connects to the socket at path for the time of a test.
func Dial(t testing.TB, path string) Client {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return Client{conn, t}
}

// Send sends a call.
func (c Client) Send(call proto.Message) {
	c.t.Helper()
	if _, err := c.Write(Frame(call)); err != nil {
		c.t.Fatal(err)
	}
}

// Ended reads the frame that ends an event.
func (c Client) Ended() {
	c.t.Helper()
	if frame, err := ReadFrame(c); err != nil || len(frame) != 0 {
		c.t.Fatalf("got %q, %v, want the end of the event", frame, err)
	}
}

// Returned reads the return to the call of that sequence, which comes next.
func (c Client) Returned(sequence int64) *kong_plugin_protocol.InstanceStatus {
	c.t.Helper()
	data, err := ReadFrame(c)
	if err != nil {
		c.t.Fatal(err)
	}
	var r kong_plugin_protocol.RpcReturn
	if err := proto.Unmarshal(data, &r); err != nil || r.Sequence != sequence {
		c.t.Fatalf("return to %d, want to %d: %v", r.Sequence, sequence, err)
	}
	return r.GetInstanceStatus()
}

// Start starts an instance of the plugin called name and returns its id.
func (c Client) Start(name, config string) int32 {
	c.t.Helper()
	c.Send(Start(1, name, config))
	status := c.Returned(1)
	if status.GetName() != name || status.GetInstanceId() == 0 || status.GetStartedAt() == 0 {
		c.t.Fatalf("status %v", status)
	}
	return status.InstanceId
}
