package pdk

import (
	"testing"

	"m2m-token-enricher/test/pdktest"
)

// TestRequestBodyLimits: a body has a limit, wherever nginx keeps it.
func TestRequestBodyLimits(t *testing.T) {
	const body = "kong.request.get_raw_body"
	for name, tt := range map[string]struct {
		reply      pdktest.Replies
		size       int
		unreadable bool
	}{
		"content": {pdktest.Replies{body: pdktest.Body(string(make([]byte, maxRequestSize)))}, maxRequestSize, false},
		"large":   {pdktest.Replies{body: pdktest.Body(string(make([]byte, maxRequestSize+1)))}, 0, true},
		"no file": {pdktest.Replies{body: pdktest.BodyFile("/nonexistent")}, 0, true},
		"endless": {pdktest.Replies{body: pdktest.BodyFile("/dev/zero")}, 0, true},
		"error":   {pdktest.Replies{body: pdktest.BodyError("x")}, 0, true},
		"none":    {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := &pdktest.Kong{Replies: tt.reply}
			k.Handle(t, "response", serveConn(func(e *Event) {
				x, err := e.Exchange(PrepareExchange(), every)
				if err != nil || len(x.RequestBody) != tt.size || (x.RequestBodyError != nil) != tt.unreadable {
					t.Errorf("%d bytes, unreadable %v, error %v", len(x.RequestBody), x.RequestBodyError, err)
				}
			}))
		})
	}
}

// TestTextsThatArentUTF8: a client may send any byte.
func TestTextsThatArentUTF8(t *testing.T) {
	k := &pdktest.Kong{Replies: pdktest.Replies{"kong.nginx.get_var": pdktest.Text("Bearer \xff")}}
	k.Handle(t, "response", serveConn(func(e *Event) {
		if d, err := e.Details(); err != nil || d.Authorization != "Bearer \xff" {
			t.Errorf("got %q, %v", d.Authorization, err)
		}
	}))
}

// TestVariables: variables of nginx come in the round trip of the exchange.
func TestVariables(t *testing.T) {
	for _, names := range [][]string{nil, {"a", "b"}} {
		k := &pdktest.Kong{Replies: pdktest.Replies{pdktest.Variable("a"): pdktest.Text("value of a"), pdktest.Variable("b"): pdktest.Text("value of b")}}
		k.Handle(t, "response", serveConn(func(e *Event) {
			x, err := e.Exchange(PrepareExchange(names...), every)
			for _, name := range names {
				if got := x.Variables.Of(name); err != nil || string(got) != "value of "+name {
					t.Errorf("got %q for %s, %v", got, name, err)
				}
			}
			if got := x.Variables.Of("c"); got != nil {
				t.Errorf("got %q for a variable that wasn't asked for, want none", got)
			}
		}))
		if len(k.Calls) != 4+len(names) || k.Writes != 2 {
			t.Errorf("%v in %d writes, want one for the questions and one for the end", k.Calls, k.Writes)
		}
	}
}

// TestRequestInOneRoundTrip: whatever is asked in access goes in one write. A body
// that Kong wrote to a file isn't read.
func TestRequestInOneRoundTrip(t *testing.T) {
	const body = "kong.request.get_raw_body"
	for name, tt := range map[string]struct {
		questions RequestQuestions
		body      pdktest.Message
		want      string
		calls     int
	}{
		"no body":        {PrepareRequest(false), pdktest.Body("text"), "", 6},
		"body":           {PrepareRequest(true, "http_host"), pdktest.Body("text"), "text", 8},
		"body in a file": {PrepareRequest(true, "http_host"), pdktest.BodyFile("/dev/zero"), "", 8},
		"no body read":   {PrepareRequest(true, "http_host"), pdktest.BodyError("x"), "", 8},
		"route":          {PrepareRequest(true, "http_host").WithRoute(), pdktest.Body("text"), "text", 9},
	} {
		k := &pdktest.Kong{Replies: pdktest.Replies{
			pdktest.Variable("request"): pdktest.Text("POST /a?b HTTP/1.1"), pdktest.Variable("http_host"): pdktest.Text("host"), body: tt.body,
			"kong.router.get_route": pdktest.Route("of the request"),
		}}
		k.Handle(t, "access", serveConn(func(e *Event) {
			r, err := e.Request(tt.questions)
			if err != nil || string(r.Body) != tt.want || r.Path != "/a" || r.Query != "b" {
				t.Errorf("%s: got %+v, %v", name, r, err)
			}
			if got := string(r.Variables.Of("http_host")); (got == "host") != (tt.calls > 6) {
				t.Errorf("%s: got the host %q", name, got)
			}
			if (r.Route == "of the request") != (name == "route") {
				t.Errorf("%s: got the route %q", name, r.Route)
			}
		}))
		if len(k.Calls) != tt.calls || k.Writes != 2 {
			t.Errorf("%s: %v in %d writes, want %d calls in one and the end in another", name, k.Calls, k.Writes, tt.calls)
		}
	}
}
