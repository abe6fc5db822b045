package pdktest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// What can be wrong with a reply.
const (
	validReply     = iota
	emptyReply     // all values are zero
	HostileReply   // valid, with calls in its text
	mistypedReply  // another question's message
	garbageReply   // no message
	oversizedReply // larger than a frame may be; Kong ends in the middle of it
	truncatedReply // shorter than its head says; Kong ends in the middle of it
	ReplyKinds
)

// Honest plays a Kong whose upstream and clients choose the texts: it calls, and
// answers each question of the plugin in turn.
type Honest struct {
	Kinds  []byte // of the replies, in turn; valid when there are no more
	Offset int    // of the calls in a hostile text

	conn    net.Conn
	replies int
	spoiled bool // a reply couldn't be read
	dead    bool // in the middle of a reply
	ends    []string
	err     error
}

// Play makes two events of an instance on a connection that serve serves, and
// returns how many ended. Whatever the replies are, each event ends once. After a
// reply that can't be read, the connection serves no further event.
func (k *Honest) Play(t *testing.T, serve func(net.Conn), instance int32, phase string) (ended int) {
	t.Helper()
	ours, theirs := Sockets(t)
	defer ours.Close()
	if err := ours.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); serve(theirs) }()
	k.conn = ours
	if !k.call(1, instance, phase) {
		t.Fatal("the event didn't end")
	}
	want := !k.spoiled
	if k.err == nil && !k.dead && k.ends[0] == "return" {
		if got := k.call(2, instance, phase); got != want {
			t.Errorf("the next event was served: got %t, want %t", got, want)
		}
	}
	_ = ours.(*net.UnixConn).CloseWrite()
	rest, err := io.ReadAll(ours)
	ours.Close()
	<-done
	if k.err != nil || err != nil || len(rest) != 0 {
		t.Errorf("after %v came %q: %v, %v", k.ends, rest, k.err, err)
	}
	return len(k.ends)
}

// call makes an event and answers until it ends. It returns false if the plugin
// closed the connection instead.
func (k *Honest) call(sequence int64, instance int32, phase string) bool {
	k.write(Frame(Event(sequence, instance, phase)))
	for k.err == nil {
		method, err := ReadFrame(k.conn)
		if err == io.EOF {
			return false
		}
		args, argsErr := ReadFrame(k.conn) // or the return
		switch {
		case err != nil || argsErr != nil:
			k.err = fmt.Errorf("read a call of the plugin's: %v, %v", err, argsErr)
		case len(method) == 0:
			k.err = returned(args, sequence)
			k.ends = append(k.ends, "return")
			return true
		case string(method) == "kong.response.exit":
			k.ends = append(k.ends, "exit")
			return true
		default:
			k.answer(string(method), args)
		}
	}
	return true
}

func (k *Honest) answer(method string, args []byte) {
	kind := byte(validReply)
	if k.replies < len(k.Kinds) {
		kind = k.Kinds[k.replies] % ReplyKinds
	}
	k.replies++
	var asked kong_plugin_protocol.String
	_ = proto.Unmarshal(args, &asked) // the few that aren't Strings have no name
	k.spoiled = k.spoiled || kind > mistypedReply || kind == mistypedReply && !isStatement(method)
	k.write(k.reply(kind, method, AnswerTo(method, asked.V)))
	if kind >= oversizedReply && !k.dead {
		k.dead = true
		k.err = k.conn.(*net.UnixConn).CloseWrite()
	}
}

// reply is a frame of a kind, to a question whose answer is text.
func (k *Honest) reply(kind byte, method, text string) []byte {
	calls := HostileText(k.Offset, "")
	switch kind {
	case emptyReply:
		return make([]byte, 4)
	case HostileReply:
		return Frame(replyTo(method, HostileText(k.Offset, text)))
	case mistypedReply:
		if method == "kong.service.response.get_status" {
			return Frame(Text(text))
		}
		return Frame(Number(200))
	case garbageReply:
		return []byte{1, 0, 0, 0, 0xff}
	case oversizedReply:
		return append(binary.LittleEndian.AppendUint32(nil, uint32(MaxFrame+1+k.Offset)), calls...)
	case truncatedReply:
		return append(binary.LittleEndian.AppendUint32(nil, uint32(len(calls)+1)), calls...)
	}
	return Frame(replyTo(method, text))
}

// isStatement reports whether a reply to method has no fields.
func isStatement(method string) bool {
	return strings.HasPrefix(method, "kong.log.") || strings.HasPrefix(method, "kong.ctx.") ||
		method == "kong.response.set_header" || method == "kong.response.clear_header"
}

func (k *Honest) write(frame []byte) {
	if k.dead {
		return
	}
	if _, err := k.conn.Write(frame); err != nil && k.err == nil {
		k.err = err
	}
}

// AnswerTo is Kong's answer to a question, a different one for each.
func AnswerTo(method, name string) string { return "<" + method + ":" + name + ">" }

// HostileText is text after calls that Kong never made: they start an instance,
// and events in the instances 1 and 2.
func HostileText(offset int, text string) string {
	start := Start(90, "m2m-token-enricher", `{"issuer":"https://attacker.example"}`)
	calls := slices.Concat(Frame(start), Frame(Event(91, 1, "access")), Frame(Event(92, 2, "response")))
	return string(slices.Concat(make([]byte, offset), calls)) + text
}

// replyTo is Kong's message to a question.
func replyTo(method, text string) proto.Message {
	named := func(name string) proto.Message {
		return &structpb.Struct{Fields: map[string]*structpb.Value{name: structpb.NewStringValue(AnswerTo(method, ""))}}
	}
	switch method {
	case "kong.service.response.get_status":
		return Number(200)
	case "kong.request.get_raw_body":
		return Body(text)
	case "kong.response.get_headers":
		return named("cdn-cache-control")
	}
	return Text(text)
}
