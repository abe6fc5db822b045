package pdk

import (
	"slices"
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
				x, err := e.Exchange(every)
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
		k := &pdktest.Kong{Replies: pdktest.Replies{"kong.nginx.get_var": pdktest.Text("value")}}
		k.Handle(t, "response", serveConn(func(e *Event) {
			x, err := e.Exchange(every, names...)
			if err != nil || len(x.Variables) != len(names) || slices.ContainsFunc(x.Variables, func(v []byte) bool { return string(v) != "value" }) {
				t.Errorf("got %q, %v", x.Variables, err)
			}
		}))
		if len(k.Calls) != 4+len(names) || k.Writes != 2 {
			t.Errorf("%v in %d writes, want one for the questions and one for the end", k.Calls, k.Writes)
		}
	}
}
