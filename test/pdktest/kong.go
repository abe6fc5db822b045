package pdktest

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Replies are Kong's answers, by method. Those to a question about one name may be
// by method and name, such as "kong.nginx.get_var request".
type Replies map[string]proto.Message

// to returns the reply to a question, nil if there is none.
func (r Replies) to(method string, args []byte) proto.Message {
	var asked kong_plugin_protocol.String
	if err := proto.Unmarshal(args, &asked); err == nil && r[method+" "+asked.V] != nil {
		return r[method+" "+asked.V]
	}
	return r[method]
}

// Variable is the key of the reply to a question for a variable of nginx.
func Variable(name string) string { return "kong.nginx.get_var " + name }

// Kong sends one event. It answers the handler's questions with Replies, or with
// empty values, and keeps the calls, the exit and the log.
type Kong struct {
	Replies Replies

	Calls  []string // methods, in their order
	Writes int      // that the plugin made, with the one that ends the event
	Exit   *kong_plugin_protocol.ExitArgs
	Log    []string
}

// Handle makes an event of phase on a connection that serve serves, and returns
// when the event and the connection have ended. It can be used once.
func (k *Kong) Handle(t *testing.T, phase string, serve func(net.Conn)) {
	t.Helper()
	const sequence = 1
	ours, theirs := Sockets(t)
	done := make(chan error, 1)
	go func() {
		defer ours.Close()
		if _, err := ours.Write(Frame(Event(sequence, 1, phase))); err != nil {
			done <- err
			return
		}
		done <- k.Answer(ours, sequence)
	}()
	serve(counted{theirs, &k.Writes})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Answer answers until the event of that sequence ends. It returns an error if
// the event doesn't end in order.
func (k *Kong) Answer(conn net.Conn, sequence int64) error {
	for {
		method, err := ReadFrame(conn)
		if err != nil {
			return fmt.Errorf("the next call of the plugin's: %w", err)
		}
		args, err := ReadFrame(conn)
		switch {
		case err != nil:
			return fmt.Errorf("the arguments of %q: %w", method, err)
		case len(method) == 0:
			return returned(args, sequence)
		}
		k.Calls = append(k.Calls, string(method))
		switch {
		case string(method) == "kong.response.exit":
			k.Exit = &kong_plugin_protocol.ExitArgs{}
			return proto.Unmarshal(args, k.Exit) // as Kong does: there is no reply
		case strings.HasPrefix(string(method), "kong.log."):
			var list structpb.ListValue
			if err := proto.Unmarshal(args, &list); err != nil {
				return err
			}
			k.Log = append(k.Log, list.Values[0].GetStringValue())
		}
		reply := k.Replies.to(string(method), args)
		if reply == nil {
			reply = Text("")
		}
		if _, err := conn.Write(Frame(reply)); err != nil {
			return err
		}
	}
}

// returned returns an error unless message is the return to the call of that
// sequence.
func returned(message []byte, sequence int64) error {
	var r kong_plugin_protocol.RpcReturn
	if err := proto.Unmarshal(message, &r); err != nil || r.Sequence != sequence {
		return fmt.Errorf("return to %d, want to %d: %v", r.Sequence, sequence, err)
	}
	return nil
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
