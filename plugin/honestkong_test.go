package plugin

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// What can be wrong with a reply.
const (
	validReply     = iota
	emptyReply     // all values are zero
	hostileReply   // valid, with calls in its text
	mistypedReply  // another question's message
	garbageReply   // no message
	oversizedReply // larger than a frame may be; Kong ends in the middle of it
	truncatedReply // shorter than its head says; Kong ends in the middle of it
	replyKinds
)

// honestKong plays Kong: it calls, and answers each question of the plugin in
// turn, as a Kong does whose upstream and clients choose the texts.
type honestKong struct {
	conn   net.Conn
	kinds  []byte // of the replies, in turn; valid when there are no more
	offset int    // of the calls in a hostile text

	replies int
	spoiled bool // a reply couldn't be read
	dead    bool // in the middle of a reply
	ends    []string
	err     error
}

// call makes an event and answers until it ends. It returns false if the plugin
// closed the connection instead.
func (k *honestKong) call(sequence int64, instance int32, phase string) bool {
	k.write(inFrame(event(sequence, instance, phase)))
	for k.err == nil {
		method, err := readFrame(k.conn)
		if err == io.EOF {
			return false
		}
		args, argsErr := readFrame(k.conn) // or the return
		switch {
		case err != nil || argsErr != nil:
			k.err = fmt.Errorf("a call of the plugin's: %v, %v", err, argsErr)
		case len(method) == 0:
			var r kong_plugin_protocol.RpcReturn
			if proto.Unmarshal(args, &r) != nil || r.Sequence != sequence {
				k.err = fmt.Errorf("return to %d, not to %d", r.Sequence, sequence)
			}
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

func (k *honestKong) answer(method string, args []byte) {
	kind := byte(validReply)
	if k.replies < len(k.kinds) {
		kind = k.kinds[k.replies] % replyKinds
	}
	k.replies++
	var asked kong_plugin_protocol.String
	_ = proto.Unmarshal(args, &asked) // the few that aren't Strings have no name
	text := answerTo(method, asked.V)
	if kind == hostileReply {
		text = hostileText(k.offset, text)
	}
	reply := inFrame(replyTo(method, text))
	calls := hostileText(k.offset, "")
	switch kind {
	case emptyReply:
		reply = make([]byte, 4)
	case mistypedReply:
		other := replyTo("kong.service.response.get_status", "")
		if method == "kong.service.response.get_status" {
			other = replyTo("", text)
		}
		reply = inFrame(other)
	case garbageReply:
		reply = []byte{1, 0, 0, 0, 0xff}
	case oversizedReply:
		reply = append(binary.LittleEndian.AppendUint32(nil, uint32(maxFrame+1+k.offset)), calls...)
	case truncatedReply:
		reply = append(binary.LittleEndian.AppendUint32(nil, uint32(len(calls)+1)), calls...)
	}
	k.spoiled = k.spoiled || kind > mistypedReply || kind == mistypedReply && !isStatement(method)
	k.write(reply)
	if kind >= oversizedReply && !k.dead {
		k.dead = true
		k.err = k.conn.(*net.UnixConn).CloseWrite()
	}
}

// isStatement reports whether a reply to method has no fields.
func isStatement(method string) bool {
	return strings.HasPrefix(method, "kong.log.") || strings.HasPrefix(method, "kong.ctx.") ||
		method == "kong.response.set_header" || method == "kong.response.clear_header"
}

func (k *honestKong) write(frame []byte) {
	if k.dead {
		return
	}
	if _, err := k.conn.Write(frame); err != nil && k.err == nil {
		k.err = err
	}
}

func inFrame(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(data))), data...)
}

// answerTo is the text that Kong answers to a question, and to no other.
func answerTo(method, name string) string { return "<" + method + ":" + name + ">" }

// hostileText is text behind calls that Kong never made.
func hostileText(offset int, text string) string {
	start := &kong_plugin_protocol.RpcCall{Sequence: 90, Call: &kong_plugin_protocol.RpcCall_CmdStartInstance{
		CmdStartInstance: &kong_plugin_protocol.CmdStartInstance{Name: Name, Config: []byte(`{"issuer":"https://attacker.example"}`)}}}
	calls := slices.Concat(inFrame(start), inFrame(event(91, 1, "access")), inFrame(event(92, 2, "response")))
	return string(slices.Concat(make([]byte, offset), calls)) + text
}

// replyTo is Kong's message to a question. Texts are bytes on the wire whatever
// their message is called.
func replyTo(method, text string) proto.Message {
	switch method {
	case "kong.service.response.get_status":
		return &kong_plugin_protocol.Int{V: 200}
	case "kong.request.get_raw_body":
		return &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte(text)}}
	case "kong.request.get_headers":
		return &structpb.Struct{Fields: map[string]*structpb.Value{"upgrade": structpb.NewStringValue(answerTo(method, ""))}}
	case "kong.response.get_headers":
		return &structpb.Struct{Fields: map[string]*structpb.Value{"cdn-cache-control": structpb.NewStringValue(answerTo(method, ""))}}
	}
	return &kong_plugin_protocol.ByteString{V: []byte(text)}
}

// questioner is a handler that asks everything that the plugin asks, and says what
// it was given that isn't the answer to its question.
type questioner struct {
	t       *testing.T
	offset  int
	handled int
}

func (q *questioner) heard(got, method, name string) {
	want := answerTo(method, name)
	if got != "" && !strings.Contains(hostileText(q.offset, want), got) {
		q.t.Errorf("%s of %q was answered by %q", method, name, got)
	}
}

func (q *questioner) phase(i *instance, phase string, k *kong) {
	q.handled++
	var err error
	if phase == "access" {
		var r accessRequest
		r, err = k.accessRequest()
		q.heard(r.method, "kong.nginx.get_var", "request")
		q.heard(strings.Join(r.headers.upgrade, ""), "kong.request.get_headers", "")
		if !strings.Contains(hostileText(q.offset, ""), r.path) {
			q.heard(r.path, "kong.request.get_path", "")
		}
	} else {
		err = q.response(k)
	}
	q.heard(k.requestID(), "kong.nginx.get_var", "kong_request_id")
	switch {
	case err != nil:
		i.fail(k, err)
	case i.cfg.EnforcesAll():
		k.exit(200, nil, changed)
	}
}

func (q *questioner) response(k *kong) error {
	x, err := k.exchange()
	if err == nil {
		err = k.rest(&x)
	}
	if s := x.Response.Status; s != 0 && s != 200 {
		q.t.Errorf("status %d", s)
	}
	q.heard(string(x.Response.Body), "kong.service.response.get_raw_body", "")
	q.heard(string(x.Request.Body), "kong.request.get_raw_body", "")
	q.heard(x.Response.ContentEncoding, "kong.service.response.get_header", "content-encoding")
	q.heard(x.Request.Method, "kong.request.get_method", "")
	q.heard(x.Request.Query, "kong.request.get_raw_query", "")
	q.heard(x.Request.ContentType, "kong.nginx.get_var", "http_content_type")
	q.heard(x.Request.ContentEncoding, "kong.nginx.get_var", "http_content_encoding")
	q.heard(x.Request.Authorization, "kong.nginx.get_var", "http_authorization")
	return err
}
