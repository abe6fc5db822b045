package kongtest

import (
	"errors"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

var responseMethods = map[string]method{
	"response.get_headers": with(func(x *exchange, args *kong_plugin_protocol.Int) (proto.Message, error) {
		return headersMessage(x.visibleHeader(), int(args.V)), nil
	}).in("response", "log"),
	"response.set_header": pair(func(x *exchange, name string, v *structpb.Value) {
		setHeader(x.header, name, v)
	}).in("access", "response"),
	"response.clear_header": takes(func(x *exchange, name string) { x.header.Del(name) }).in("access", "response"),
	"response.exit": method{run: func(x *exchange, raw []byte) (proto.Message, error) {
		args, err := exitArgs(raw)
		if err != nil {
			return nil, err
		}
		return nil, x.exit(args)
	}}.in("access", "response"),

	"service.response.get_status": number(func(x *exchange) int { return x.upstream.status }).in("response", "log"),
	"service.response.get_header": textOf(func(x *exchange, name string) string {
		return x.upstream.header.Get(name)
	}).in("response", "log"),
	// Kong looks for these in the main request and not in the subrequest that
	// a buffered answer comes from, so there are none.
	"service.response.get_headers": with(func(*exchange, *kong_plugin_protocol.Int) (proto.Message, error) {
		return &structpb.Struct{}, nil
	}).in("response", "log"),
	"service.response.get_raw_body": method{run: func(x *exchange, _ []byte) (proto.Message, error) {
		return &kong_plugin_protocol.ByteString{V: x.upstream.body}, nil
	}}.in("response"),
}

// exit makes args the answer. Headers that args doesn't name stay as they are.
func (x *exchange) exit(args *kong_plugin_protocol.ExitArgs) error {
	if args.Status < 100 || args.Status > 599 {
		return errors.New("code must be a number between 100 and 599")
	}
	x.status, x.payload, x.source = int(args.Status), args.Body, "exit"
	x.header.Del("Content-Length")
	for name, v := range args.Headers.GetFields() {
		setHeader(x.header, name, v)
	}
	x.header.Del("Transfer-Encoding") // Kong ignores one given explicitly
	return nil
}

// visibleHeader is the result of get_headers: the answer's headers, and the one
// that nginx derives from the connection.
func (x *exchange) visibleHeader() http.Header {
	h := x.header.Clone()
	h.Set("Connection", "keep-alive")
	return h
}

// setHeader sets a header. A list becomes that many lines, and an empty list
// deletes the header.
func setHeader(h http.Header, name string, v *structpb.Value) {
	h.Del(name)
	for _, s := range luaStrings(v) {
		h.Add(name, s)
	}
}

// luaStrings returns the elements of a list, or a scalar as the only one.
func luaStrings(v *structpb.Value) []string {
	list := v.GetListValue()
	if list == nil {
		return []string{luaString(v)}
	}
	var all []string
	for _, element := range list.Values {
		all = append(all, luaString(element))
	}
	return all
}

// luaString converts a scalar as Lua's tostring does.
func luaString(v *structpb.Value) string {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return k.StringValue
	case *structpb.Value_NumberValue:
		return strconv.FormatFloat(k.NumberValue, 'g', 14, 64)
	case *structpb.Value_BoolValue:
		return strconv.FormatBool(k.BoolValue)
	case *structpb.Value_StructValue, *structpb.Value_ListValue:
		data, _ := v.MarshalJSON()
		return string(data)
	}
	return "nil"
}
