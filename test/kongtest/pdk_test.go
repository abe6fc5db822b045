package kongtest

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/Kong/go-pdk"
)

// tokenAnswer is an upstream's answer with headers of every kind.
func tokenAnswer(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Encoding", "identity")
	h.Set("Etag", `"abc"`)
	h.Set("Last-Modified", "Tue, 24 Nov 2026 02:30:09 GMT")
	h["Set-Cookie"] = []string{"a=1", "b=2"}
	io.WriteString(w, `{"access_token":"x"}`)
}

func TestExitHeaders(t *testing.T) {
	for _, test := range []struct {
		name  string
		given http.Header
		want  http.Header // nil values must be absent
		body  string
	}{
		{"kept", nil, http.Header{"Etag": {`"abc"`}, "Set-Cookie": {"a=1", "b=2"}, "Content-Length": {"8"}}, "replaced"},
		{"deleted", http.Header{"ETag": {}, "content-encoding": {}}, http.Header{"Etag": nil, "Content-Encoding": nil}, "replaced"},
		{"several lines", http.Header{"X-A": {"1", "2"}}, http.Header{"X-A": {"1", "2"}}, "replaced"},
		{"blank", http.Header{"X-A": {""}}, http.Header{"X-A": {""}}, "replaced"},
		{"length obeyed", http.Header{"Content-Length": {"3"}}, http.Header{"Content-Length": {"3"}}, "rep"},
		{"transfer encoding ignored", http.Header{"Transfer-Encoding": {"chunked"}}, http.Header{"Content-Length": {"8"}}, "replaced"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){
				"response": func(k *pdk.PDK) { k.Response.Exit(201, []byte("replaced"), test.given) },
			}}
			a := newArena(t, plugin, tokenAnswer)
			res, body := a.ask("POST", "/oauth2/token", "")
			if res.StatusCode != 201 || body != test.body {
				t.Errorf("got %d %q, want 201 %q", res.StatusCode, body, test.body)
			}
			for name, values := range test.want {
				if got := res.Header[name]; strings.Join(got, "|") != strings.Join(values, "|") || (got == nil) != (values == nil) {
					t.Errorf("%s is %q, want %q", name, got, values)
				}
			}
		})
	}
}

func TestInvalidUTF8DropsAllExitHeaders(t *testing.T) {
	// {"X-A": "\xff", "X-B": "fine"} as a google.protobuf.Struct
	entry := func(name, value string) []byte {
		v := protowire.AppendString(protowire.AppendTag(nil, 3, protowire.BytesType), value)
		e := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
		return protowire.AppendBytes(protowire.AppendTag(e, 2, protowire.BytesType), v)
	}
	var headers []byte
	for _, e := range [][]byte{entry("X-A", "\xff"), entry("X-B", "fine")} {
		headers = protowire.AppendBytes(protowire.AppendTag(headers, 1, protowire.BytesType), e)
	}
	args := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 200)
	args = protowire.AppendString(protowire.AppendTag(args, 2, protowire.BytesType), "replaced")
	args = protowire.AppendBytes(protowire.AppendTag(args, 3, protowire.BytesType), headers)
	plugin := &fakePlugin{raw: func(conn net.Conn) {
		writeFrame(conn, []byte(exitMethod))
		writeFrame(conn, args)
		readFrame(conn)
	}}
	a := newArena(t, plugin, tokenAnswer)
	res, body := a.ask("POST", "/oauth2/token", "")
	if body != "replaced" || res.Header["X-A"] != nil || res.Header["X-B"] != nil {
		t.Errorf("got %q with %v, want the body without headers", body, res.Header)
	}
}

func TestNotModified(t *testing.T) {
	for _, test := range []struct {
		name   string
		header []string
		delete bool // the plugin deletes the validators
		status int
	}{
		{"etag", []string{"If-None-Match", `W/"x", W/"abc"`}, false, 304},
		{"other etag", []string{"If-None-Match", `"x"`}, false, 200},
		{"date", []string{"If-Modified-Since", "Tue, 24 Nov 2026 02:30:09 GMT"}, false, 304},
		{"other date", []string{"If-Modified-Since", "Tue, 24 Nov 2026 02:30:10 GMT"}, false, 200},
		{"date but other etag", []string{"If-Modified-Since", "Tue, 24 Nov 2026 02:30:09 GMT", "If-None-Match", `"x"`}, false, 200},
		{"deleted", []string{"If-None-Match", `"abc"`}, true, 200},
		{"deleted, any", []string{"If-None-Match", `*`}, true, 304},
	} {
		t.Run(test.name, func(t *testing.T) {
			plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){
				"response": func(k *pdk.PDK) {
					h := http.Header{}
					if test.delete {
						h = http.Header{"Etag": {}, "Last-Modified": {}}
					}
					k.Response.Exit(200, []byte("replaced"), h)
				},
			}}
			a := newArena(t, plugin, tokenAnswer)
			if res, body := a.ask("GET", "/oauth2/token", "", test.header...); res.StatusCode != test.status {
				t.Errorf("got %d %q, want %d", res.StatusCode, body, test.status)
			}
		})
	}
}

func TestFailedResponsePhaseLeaksUpstreamHeaders(t *testing.T) {
	plugin := &fakePlugin{raw: func(conn net.Conn) {
		writeFrame(conn, []byte("kong.no.such.method"))
		writeFrame(conn, nil)
		readFrame(conn)
	}}
	a := newArena(t, plugin, tokenAnswer)
	res := a.expect("POST", "/oauth2/token", 500, `"message":"An unexpected error occurred"`)
	if len(res.Header["Set-Cookie"]) != 2 {
		t.Errorf("headers %v", res.Header)
	}
	if !strings.Contains(a.Log(), `unknown PDK method "kong.no.such.method"`) {
		t.Errorf("log: %s", a.Log())
	}
}

func TestPhaseRestrictions(t *testing.T) {
	plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){
		"access": func(k *pdk.PDK) { k.ServiceResponse.GetStatus() },
	}}
	a := newArena(t, plugin, tokenAnswer)
	a.expect("GET", "/oauth2/token", 500, "An unexpected error occurred")
	if !strings.Contains(a.Log(), "cannot be called in access phase") {
		t.Errorf("log: %s", a.Log())
	}
}

// TestRequestGetters: what the plugin asks of a request, and a line in the log.
func TestRequestGetters(t *testing.T) {
	plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){
		"access": func(k *pdk.PDK) {
			var all []string
			for _, get := range []func() (string, error){k.Request.GetMethod, k.Request.GetPath, k.Request.GetRawQuery} {
				v, err := get()
				all = append(all, v)
				if err != nil {
					t.Error(err)
				}
			}
			for _, name := range []string{"request", "http_x_a", "http_cookie", "http_x_none"} {
				v, err := k.Nginx.GetVar(name)
				all = append(all, v)
				if err != nil {
					t.Error(err)
				}
			}
			k.Log.Notice("shown ", 1)
			k.Response.Exit(200, []byte(strings.Join(all, "|")), nil)
		},
	}}
	a := newArena(t, plugin, tokenAnswer)
	_, got := a.ask("POST", "/oauth2//./token?a=1&b=x%20y", "", "X-A", "1", "X-A", "2", "X_a", "3", "Cookie", "a=1", "Cookie", "b=2")
	if want := "POST|/oauth2/token|a=1&b=x%20y|POST /oauth2//./token?a=1&b=x%20y HTTP/1.1|1, 2, 3|a=1; b=2|"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if log := a.Log(); !strings.Contains(log, "[kong] [probe] shown 1, client: 127.0.0.1") {
		t.Errorf("log: %s", log)
	}
}
