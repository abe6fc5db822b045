package kongtest

import (
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// defaultMaxHeaders is how many headers get_headers returns by default.
const defaultMaxHeaders = 100

var requestMethods = map[string]method{
	"request.get_method":    text(func(x *exchange) string { return x.r.Method }),
	"request.get_path":      text(func(x *exchange) string { return x.path }),
	"request.get_raw_query": text(func(x *exchange) string { return x.r.URL.RawQuery }),
	"request.get_header":    textOf(func(x *exchange, name string) string { return x.requestHeader.Get(name) }),
	"request.get_headers": with(func(x *exchange, args *kong_plugin_protocol.Int) (proto.Message, error) {
		return headersMessage(x.requestHeader, int(args.V)), nil
	}),
	"request.get_raw_body": method{run: func(x *exchange, _ []byte) (proto.Message, error) {
		return x.rawBody()
	}}.in("access", "response"),
}

// rawBody returns the request's body, or the path of a file with it if nginx
// would not have kept it in memory.
func (x *exchange) rawBody() (proto.Message, error) {
	if len(x.body) <= bodyBuffer {
		return &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: x.body}}, nil
	}
	if x.bodyFile == "" {
		file, err := x.gateway.spool(x.body)
		if err != nil {
			return nil, err
		}
		x.bodyFile = file
	}
	return &kong_plugin_protocol.RawBodyResult{
		Kind: &kong_plugin_protocol.RawBodyResult_BodyFilepath{BodyFilepath: x.bodyFile},
	}, nil
}

// headersMessage returns up to limit lines of headers as in a Lua table: a
// string, or a list if there are several values.
func headersMessage(h http.Header, limit int) *structpb.Struct {
	if limit <= 0 {
		limit = defaultMaxHeaders
	}
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for name, values := range h {
		values = values[:min(len(values), limit)]
		limit -= len(values)
		if len(values) == 0 {
			continue
		}
		if len(values) == 1 {
			s.Fields[strings.ToLower(name)] = structpb.NewStringValue(strings.ToValidUTF8(values[0], "\uFFFD"))
			continue
		}
		list := &structpb.ListValue{}
		for _, v := range values {
			list.Values = append(list.Values, structpb.NewStringValue(strings.ToValidUTF8(v, "\uFFFD")))
		}
		s.Fields[strings.ToLower(name)] = structpb.NewListValue(list)
	}
	return s
}
