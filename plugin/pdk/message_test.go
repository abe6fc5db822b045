package pdk

import (
	"bytes"
	"slices"
	"testing"

	"github.com/Kong/go-pdk/bridge"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"m2m-token-enricher/test/pdktest"
)

// TestMessages: what is written by hand is what the protocol's own types
// decode to, for each message that is written.
func TestMessages(t *testing.T) {
	headers := map[string][]string{"Cache-Control": {"no-store"}, "ETag": {}, "X": {"a", ""}}
	wrapped, err := bridge.WrapHeaders(headers)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		written []byte
		want    proto.Message
	}{
		"String":                          {stringMessage("a")(nil), &kong_plugin_protocol.String{V: "a"}},
		"empty String":                    {stringMessage("")(nil), &kong_plugin_protocol.String{}},
		"Int":                             {intMessage(1000)(nil), &kong_plugin_protocol.Int{V: 1000}},
		"ListValue":                       {listMessage("a", "")(nil), &structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue("a"), structpb.NewStringValue("")}}},
		"KV":                              {pairMessage("a", "b")(nil), &kong_plugin_protocol.KV{K: "a", V: structpb.NewStringValue("b")}},
		"ExitArgs":                        {exitMessage(400, []byte("body"), PrepareHeaders(headers))(nil), &kong_plugin_protocol.ExitArgs{Status: 400, Body: []byte("body"), Headers: wrapped}},
		"ExitArgs, with one more deleted": {exitMessage(400, nil, PrepareHeaders(map[string][]string{"Cache-Control": {"no-store"}, "X": {"a", ""}}).Deleting("ETag"))(nil), &kong_plugin_protocol.ExitArgs{Status: 400, Headers: wrapped}},
		"RpcReturn":                       {returnMessage(7)(nil), &kong_plugin_protocol.RpcReturn{Sequence: 7}},
	} {
		got := tt.want.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(tt.written, got); err != nil || !proto.Equal(got, tt.want) {
			t.Errorf("%s: %v is written, not %v: %v", name, got, tt.want, err)
		}
	}
}

// isAll reports whether m was the whole of its message: the protocol's own types
// take a field of another type for one that they don't know.
func isAll(m proto.Message, err error) bool {
	return err == nil && len(m.ProtoReflect().GetUnknown()) == 0
}

// FuzzMessages: what is read by hand is what the protocol's own types read, and
// no bytes do harm.
func FuzzMessages(f *testing.F) {
	for _, m := range []proto.Message{
		&kong_plugin_protocol.RpcCall{Sequence: 3, Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: 5, EventName: "access"}}},
		&kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_BodyFilepath{BodyFilepath: "/x"}},
	} {
		message, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var text kong_plugin_protocol.ByteString
		value, err := field(message, 1)
		if isAll(&text, proto.Unmarshal(message, &text)) && (err != nil || !bytes.Equal(value, text.V)) {
			t.Fatalf("ByteString %q: %v, want %q", value, err, text.V)
		}
		var number kong_plugin_protocol.Int
		n, err := varint(message, 1)
		if isAll(&number, proto.Unmarshal(message, &number)) && (err != nil || int32(n) != number.V) {
			t.Fatalf("Int %d: %v, want %d", n, err, number.V)
		}
		var whole kong_plugin_protocol.RpcCall
		c, err := readCall(message)
		if isAll(&whole, proto.Unmarshal(message, &whole)) && (err != nil || int64(c.sequence) != whole.Sequence) {
			t.Fatalf("RpcCall %v: %v, want %v", c, err, &whole)
		}
		var event kong_plugin_protocol.CmdHandleEvent
		id, phase, err := readEvent(message)
		if isAll(&event, proto.Unmarshal(message, &event)) && (err != nil || id != event.InstanceId || phase != event.EventName) {
			t.Fatalf("CmdHandleEvent %d, %q: %v, want %v", id, phase, err, &event)
		}
	})
}

// FuzzHeaderNames: what is read by hand is what the protocol's own types read.
func FuzzHeaderNames(f *testing.F) {
	for _, headers := range []map[string]any{{"cdn-cache-control": "a", "x": []any{"a", "b"}}, {"expires": []any{}}} {
		message, err := proto.Marshal(pdktest.Headers(f, headers))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		h, err := readHeaderNames(message, every)
		var s structpb.Struct
		if proto.Unmarshal(message, &s) != nil || err != nil {
			return
		}
		for name := range s.Fields {
			if !slices.Contains(h.Names, name) {
				t.Fatalf("%q isn't among %q", name, h.Names)
			}
		}
	})
}
