package kongtest

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// exitMethod ends the request.
const exitMethod = "kong.response.exit"

// method is a function of the PDK: what runs it and in which phases it may be
// called. No phases mean all of them.
type method struct {
	run    func(x *exchange, args []byte) (proto.Message, error)
	phases []string
}

func (m method) allows(phase string) bool {
	return len(m.phases) == 0 || slices.Contains(m.phases, phase)
}

// in restricts a method to phases.
func (m method) in(phases ...string) method {
	m.phases = phases
	return m
}

// with makes a method of a function of a decoded argument.
func with[T any, P interface {
	*T
	proto.Message
}](f func(x *exchange, args P) (proto.Message, error)) method {
	return method{run: func(x *exchange, raw []byte) (proto.Message, error) {
		args := P(new(T))
		if err := proto.Unmarshal(raw, args); err != nil {
			return nil, err
		}
		return f(x, args)
	}}
}

// text makes a method without arguments that returns a string.
func text(f func(x *exchange) string) method {
	return method{run: func(x *exchange, _ []byte) (proto.Message, error) { return stringMessage(f(x)), nil }}
}

// textOf makes a method that returns a string for a string.
func textOf(f func(x *exchange, name string) string) method {
	return with(func(x *exchange, args *kong_plugin_protocol.String) (proto.Message, error) {
		return stringMessage(f(x, args.V)), nil
	})
}

// number makes a method without arguments that returns an integer.
func number(f func(x *exchange) int) method {
	return method{run: func(x *exchange, _ []byte) (proto.Message, error) {
		return &kong_plugin_protocol.Int{V: int32(f(x))}, nil
	}}
}

// takes makes a method of a string that returns nothing.
func takes(f func(x *exchange, s string)) method {
	return with(func(x *exchange, args *kong_plugin_protocol.String) (proto.Message, error) {
		f(x, args.V)
		return nil, nil
	})
}

// pair makes a method of a name and a value that returns nothing.
func pair(f func(x *exchange, name string, value *structpb.Value)) method {
	return with(func(x *exchange, args *kong_plugin_protocol.KV) (proto.Message, error) {
		f(x, args.K, args.V)
		return nil, nil
	})
}

// stringMessage is a String that marshals even if s isn't UTF-8: protobuf
// would refuse it and so end the event, where Kong passes bytes on.
func stringMessage(s string) proto.Message {
	return &kong_plugin_protocol.ByteString{V: []byte(s)}
}

// methods are the functions of the PDK that the plugin and the recordings use.
var methods = merge(generalMethods, requestMethods, responseMethods)

func merge(maps ...map[string]method) map[string]method {
	all := map[string]method{}
	for _, m := range maps {
		for name, method := range m {
			all["kong."+name] = method
		}
	}
	return all
}

var generalMethods = map[string]method{
	"client.get_ip":           text(func(x *exchange) string { return x.clientIP }),
	"client.get_forwarded_ip": text(func(x *exchange) string { return x.clientIP }), // no peer is trusted
	"ctx.shared.set":          pair(func(x *exchange, name string, v *structpb.Value) { x.shared[name] = v }),
	"ctx.shared.get": with(func(x *exchange, args *kong_plugin_protocol.String) (proto.Message, error) {
		if v := x.shared[args.V]; v != nil {
			return v, nil
		}
		return &structpb.Value{}, nil
	}),
	"nginx.get_var": textOf((*exchange).nginxVar),
	"router.get_route": method{run: func(x *exchange, _ []byte) (proto.Message, error) {
		return x.route.message(), nil
	}}.in("access", "response", "log"),
	"log.err":    logAt("error"),
	"log.warn":   logAt("warn"),
	"log.notice": logAt("notice"),
}

// logAt makes a method that logs its arguments, concatenated.
func logAt(level string) method {
	return with(func(x *exchange, args *structpb.ListValue) (proto.Message, error) {
		var b strings.Builder
		for _, v := range args.Values {
			b.WriteString(luaString(v))
		}
		x.logf(level, "[%s] %s", x.plugin.info.Name, b.String())
		return nil, nil
	})
}

// nginxVar returns an nginx variable, or "" if it isn't set.
func (x *exchange) nginxVar(name string) string {
	if header, ok := strings.CutPrefix(name, "http_"); ok {
		return headerVariable(x.requestHeader, header)
	}
	switch name {
	case "kong_request_id":
		return x.id
	case "request": // the line as it came
		return x.r.Method + " " + x.r.RequestURI + " " + x.r.Proto
	case "remote_addr":
		host, _, _ := net.SplitHostPort(x.r.RemoteAddr)
		return host
	}
	return ""
}

// headerVariable returns nginx' variable http_NAME, with NAME in lower case: the
// lines of every header that is NAME if - is read as _. Kong keeps headers whose
// names have _. Since nginx 1.23, all lines are joined.
func headerVariable(h http.Header, name string) string {
	var lines []string
	for _, header := range slices.Sorted(maps.Keys(h)) {
		if strings.ReplaceAll(strings.ToLower(header), "-", "_") == name {
			lines = append(lines, h[header]...)
		}
	}
	if name == "cookie" {
		return strings.Join(lines, "; ")
	}
	return strings.Join(lines, ", ")
}
