package kongtest

import (
	"net"
	"net/url"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

var serviceMethods = map[string]method{
	"service.set_target": with(func(x *exchange, args *kong_plugin_protocol.Target) (proto.Message, error) {
		x.out.target = net.JoinHostPort(args.Host, strconv.Itoa(int(args.Port)))
		return nil, nil
	}).in("access"),
	"service.request.set_scheme":    takes(func(x *exchange, s string) { x.out.scheme = s }).in("access"),
	"service.request.set_path":      takes(func(x *exchange, s string) { x.out.path = s }).in("access"),
	"service.request.set_raw_query": takes(func(x *exchange, s string) { x.out.query = s }).in("access"),
	"service.request.set_method":    takes(func(x *exchange, s string) { x.out.method = s }).in("access"),
	"service.request.set_query": with(func(x *exchange, args *structpb.Struct) (proto.Message, error) {
		q := url.Values{}
		for name, v := range args.Fields {
			q[name] = luaStrings(v)
		}
		x.out.query = q.Encode()
		return nil, nil
	}).in("access"),
	"service.request.set_header": pair(func(x *exchange, name string, v *structpb.Value) {
		setHeader(x.out.header, name, v)
	}).in("access"),
	"service.request.add_header": pair(func(x *exchange, name string, v *structpb.Value) {
		addHeader(x.out.header, name, v)
	}).in("access"),
	"service.request.clear_header": takes(func(x *exchange, name string) { x.out.header.Del(name) }).in("access"),
	"service.request.set_headers": with(func(x *exchange, args *structpb.Struct) (proto.Message, error) {
		setHeaders(x.out.header, args)
		return nil, nil
	}).in("access"),
	"service.request.set_raw_body": with(func(x *exchange, args *kong_plugin_protocol.ByteString) (proto.Message, error) {
		x.out.body = args.V
		return nil, nil
	}).in("access"),

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
