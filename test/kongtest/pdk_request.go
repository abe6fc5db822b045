package kongtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// defaultMaxHeaders is how many headers get_headers returns unless told.
const defaultMaxHeaders = 100

var requestMethods = map[string]method{
	"request.get_scheme":           text(func(x *exchange) string { return x.scheme }),
	"request.get_forwarded_scheme": text(func(x *exchange) string { return x.scheme }),
	"request.get_host":             text(func(x *exchange) string { return x.host }),
	"request.get_forwarded_host":   text(func(x *exchange) string { return x.host }),
	"request.get_port":             number(func(x *exchange) int { return x.port }),
	"request.get_forwarded_port":   number(func(x *exchange) int { return x.port }),
	"request.get_method":           text(func(x *exchange) string { return x.r.Method }),
	"request.get_path":             text(func(x *exchange) string { return x.path }),
	"request.get_raw_query":        text(func(x *exchange) string { return x.r.URL.RawQuery }),
	"request.get_path_with_query": text(func(x *exchange) string {
		if x.r.URL.RawQuery == "" {
			return x.path
		}
		return x.path + "?" + x.r.URL.RawQuery
	}),
	"request.get_query_arg": textOf(func(x *exchange, name string) string { return x.r.URL.Query().Get(name) }),
	"request.get_query": with(func(x *exchange, _ *kong_plugin_protocol.Int) (proto.Message, error) {
		return headersMessage(x.r.URL.Query(), 0, func(s string) string { return s }), nil
	}),
	"request.get_header": textOf(func(x *exchange, name string) string { return x.requestHeader.Get(name) }),
	"request.get_headers": with(func(x *exchange, args *kong_plugin_protocol.Int) (proto.Message, error) {
		return headersMessage(x.requestHeader, int(args.V), strings.ToLower), nil
	}),
	"request.get_http_version": method{run: func(x *exchange, _ []byte) (proto.Message, error) {
		version, _ := strconv.ParseFloat(fmt.Sprintf("%d.%d", x.r.ProtoMajor, x.r.ProtoMinor), 64)
		return &kong_plugin_protocol.Number{V: version}, nil
	}},
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

// headersMessage returns up to limit lines of headers as Lua tables hold them: a
// string, or a list if there are several values.
func headersMessage(h map[string][]string, limit int, key func(string) string) *structpb.Struct {
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
			s.Fields[key(name)] = structpb.NewStringValue(strings.ToValidUTF8(values[0], "\uFFFD"))
			continue
		}
		list := &structpb.ListValue{}
		for _, v := range values {
			list.Values = append(list.Values, structpb.NewStringValue(strings.ToValidUTF8(v, "\uFFFD")))
		}
		s.Fields[key(name)] = structpb.NewListValue(list)
	}
	return s
}

// nginxVar returns an nginx variable, or "" if it isn't set.
func (x *exchange) nginxVar(name string) string {
	if header, ok := strings.CutPrefix(name, "http_"); ok { // all lines of the name, since nginx 1.23
		return strings.Join(x.r.Header.Values(strings.ReplaceAll(header, "_", "-")), ", ")
	}
	switch name {
	case "kong_request_id":
		return x.id
	case "request_id": // nginx' own, which differs between phases of a buffered request
		return newRequestID()
	case "remote_addr":
		return x.clientIP
	case "remote_port":
		return strconv.Itoa(x.clientPort)
	case "scheme":
		return x.scheme
	case "host":
		return x.host
	case "server_port":
		return strconv.Itoa(x.port)
	case "request": // the line as it came
		return x.r.Method + " " + x.r.RequestURI + " " + x.r.Proto
	case "request_method":
		return x.r.Method
	case "request_uri":
		return x.r.URL.RequestURI()
	case "uri":
		path, _ := url.PathUnescape(x.path)
		return path
	case "args", "query_string":
		return x.r.URL.RawQuery
	}
	if header, ok := strings.CutPrefix(name, "http_"); ok {
		return strings.Join(x.requestHeader[http.CanonicalHeaderKey(strings.ReplaceAll(header, "_", "-"))], ", ")
	}
	return ""
}
