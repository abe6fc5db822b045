package kongtest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

var responseMethods = map[string]method{
	"response.get_status": number(func(x *exchange) int { return x.status }).in("response", "log"),
	"response.get_source": text(func(x *exchange) string { return x.source }).in("response", "log"),
	"response.get_header": textOf(func(x *exchange, name string) string {
		return x.visibleHeader().Get(name)
	}).in("response", "log"),
	"response.get_headers": with(func(x *exchange, args *kong_plugin_protocol.Int) (proto.Message, error) {
		return headersMessage(x.visibleHeader(), int(args.V), strings.ToLower), nil
	}).in("response", "log"),
	"response.set_status": with(func(x *exchange, args *kong_plugin_protocol.Int) (proto.Message, error) {
		if args.V < 100 || args.V > 599 {
			return nil, errors.New("code must be a number between 100 and 599")
		}
		x.status = int(args.V)
		return nil, nil
	}).in("access", "response"),
	"response.set_header": pair(func(x *exchange, name string, v *structpb.Value) {
		setHeader(x.header, name, v)
	}).in("access", "response"),
	"response.add_header": pair(func(x *exchange, name string, v *structpb.Value) {
		addHeader(x.header, name, v)
	}).in("access", "response"),
	"response.clear_header": takes(func(x *exchange, name string) { x.header.Del(name) }).in("access", "response"),
	"response.set_headers": with(func(x *exchange, args *structpb.Struct) (proto.Message, error) {
		setHeaders(x.header, args)
		return nil, nil
	}).in("access", "response"),
	"response.exit": method{run: func(x *exchange, raw []byte) (proto.Message, error) {
		args, err := exitArgs(raw)
		if err != nil {
			return nil, err
		}
		return nil, x.exit(args)
	}}.in("access", "response"),
}

// exit makes args the answer. Headers that args doesn't name stay as they are.
func (x *exchange) exit(args *kong_plugin_protocol.ExitArgs) error {
	if args.Status < 100 || args.Status > 599 {
		return errors.New("code must be a number between 100 and 599")
	}
	x.status, x.payload, x.source = int(args.Status), args.Body, "exit"
	x.header.Del("Content-Length")
	setHeaders(x.header, args.Headers)
	x.header.Del("Transfer-Encoding") // Kong ignores one given explicitly
	return nil
}

// visibleHeader is what get_headers sees: the answer's headers and the one
// that nginx derives from the connection.
func (x *exchange) visibleHeader() http.Header {
	h := x.header.Clone()
	h.Set("Connection", "keep-alive")
	return h
}

// setHeaders sets every header in given. A list becomes that many lines and an
// empty list deletes the header.
func setHeaders(h http.Header, given *structpb.Struct) {
	for name, v := range given.GetFields() {
		setHeader(h, name, v)
	}
}

func setHeader(h http.Header, name string, v *structpb.Value) {
	h.Del(name)
	addHeader(h, name, v)
}

func addHeader(h http.Header, name string, v *structpb.Value) {
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

// luaString is what Lua's tostring makes of a scalar.
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
