package pdk

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"

	"m2m-token-enricher/test/pdktest"
)

// questioner is a handler that asks everything, and reports answers to other
// questions.
type questioner struct {
	t      *testing.T
	offset int
}

func (q *questioner) heard(got, method, name string) {
	want := pdktest.AnswerTo(method, name)
	if got != "" && !strings.Contains(pdktest.HostileText(q.offset, want), got) {
		q.t.Errorf("%s of %q was answered by %q", method, name, got)
	}
}

func (q *questioner) handle(e *Event) {
	var h HeaderNames
	var err error
	if e.Phase == "access" {
		err = q.access(e)
	} else {
		h, err = q.response(e)
	}
	q.heard(e.RequestID(), "kong.nginx.get_var", "kong_request_id")
	if err != nil {
		e.Log(Error, "it failed")
		e.Share("outcome", "failed")
	}
	switch {
	case e.Instance == exits:
		e.Exit(500, nil, noStore.Deleting(h.Names...))
	case err != nil && e.Phase == "response":
		h, _ = e.AnswerHeaders(every)
		e.SetHeader("Cache-Control", "no-store")
		for _, name := range h.Names {
			e.ClearHeader(name)
		}
	}
}

func (q *questioner) access(e *Event) error {
	r, err := e.Request(PrepareRequest(true, "http_host", "kong_request_id").WithRoute())
	q.heard(r.Method, "kong.nginx.get_var", "request")
	q.heard(string(r.Body), "kong.request.get_raw_body", "")
	q.heard(r.Route, "kong.router.get_route", "")
	for _, name := range []string{"http_host", "kong_request_id"} {
		q.heard(string(r.Variables.Of(name)), "kong.nginx.get_var", name)
	}
	for name, got := range map[string]string{
		"http_upgrade": r.Upgrade, "http_content_type": r.ContentType, "http_content_encoding": r.ContentEncoding,
		"http_authorization": r.Authorization, "http_cookie": r.Cookie,
	} {
		q.heard(got, "kong.nginx.get_var", name)
	}
	if !strings.Contains(pdktest.HostileText(q.offset, ""), r.Path) {
		q.heard(r.Path, "kong.request.get_path", "")
	}
	if err == nil {
		_, err = e.BodyIsEmpty()
	}
	return err
}

func (q *questioner) response(e *Event) (HeaderNames, error) {
	x, err := e.Exchange(PrepareExchange("http_traceparent"), every)
	var d Details
	if err == nil {
		d, err = e.Details()
	}
	if x.Status != 0 && x.Status != 200 {
		q.t.Errorf("status %d", x.Status)
	}
	q.heard(string(x.Body), "kong.service.response.get_raw_body", "")
	q.heard(string(x.RequestBody), "kong.request.get_raw_body", "")
	for _, name := range x.Headers.Names {
		if name != "cdn-cache-control" {
			q.t.Errorf("header %q", name)
		}
	}
	q.heard(string(x.Variables.Of("http_traceparent")), "kong.nginx.get_var", "http_traceparent")
	q.heard(d.ContentEncoding, "kong.service.response.get_header", "content-encoding")
	q.heard(d.Method, "kong.request.get_method", "")
	q.heard(d.Query, "kong.request.get_raw_query", "")
	q.heard(d.ContentType, "kong.nginx.get_var", "http_content_type")
	q.heard(d.RequestEncoding, "kong.nginx.get_var", "http_content_encoding")
	q.heard(d.Authorization, "kong.nginx.get_var", "http_authorization")
	q.heard(d.Cookie, "kong.nginx.get_var", "http_cookie")
	return x.Headers, err
}

// play checks the rule: whatever Kong's replies are, no question gets the answer to
// another, no text is read as a call, each event ends once, and a connection whose
// frame couldn't be read serves no further event.
func play(t *testing.T, phase string, instance int32, offset byte, kinds []byte) {
	t.Helper()
	q := &questioner{t, int(offset)}
	f := &fake{handle: q.handle}
	k := &pdktest.Honest{Kinds: kinds, Offset: int(offset)}
	ended := k.Play(t, NewServer("fake", f).ServeConn, instance, phase)
	if handled := int(f.handled.Load()); handled != ended || f.started.Load() != 0 {
		t.Errorf("%d events were handled and %d ended; %d instances were started", handled, ended, f.started.Load())
	}
}

// TestOutOfStep: each reply spoiled in each way, alone, and all of them.
func TestOutOfStep(t *testing.T) {
	for _, phase := range []string{"access", "response"} {
		for _, instance := range []int32{exits, passes} {
			for kind := range byte(pdktest.ReplyKinds) {
				for position := range 16 {
					play(t, phase, instance, byte(position), append(make([]byte, position), kind))
				}
				play(t, phase, instance, 3, bytes.Repeat([]byte{kind}, 20))
			}
		}
	}
}

// FuzzOutOfStep: as TestOutOfStep, for any replies.
func FuzzOutOfStep(f *testing.F) {
	for kind := range byte(pdktest.ReplyKinds) {
		f.Add(kind%2 == 0, kind%2 == 1, kind, []byte{pdktest.HostileReply, kind, kind})
	}
	f.Fuzz(func(t *testing.T, access, pass bool, offset byte, kinds []byte) {
		phase, instance := "response", exits
		if access {
			phase = "access"
		}
		if pass {
			instance = passes
		}
		play(t, phase, instance, offset, kinds)
	})
}

// TestHeadTakesNoMemory: a frame's memory comes with its bytes.
func TestHeadTakesNoMemory(t *testing.T) {
	ours, theirs := pdktest.Sockets(t)
	defer theirs.Close()
	if _, err := ours.Write(binary.LittleEndian.AppendUint32(nil, maxFrame)); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	w := newWire(theirs)
	defer w.release()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := w.frame()
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 4*keptBuffer {
		t.Errorf("the head alone took %d bytes: %v", took, err)
	}
}

// TestUnreadableCall: what can't be read as a call is answered by the end of the
// connection alone, without a reset.
func TestUnreadableCall(t *testing.T) {
	f := &fake{}
	s := serve(t, f)
	for name, sent := range map[string][]byte{
		"too large":             append(binary.LittleEndian.AppendUint32(nil, maxFrame+1), pdktest.HostileText(0, "")...),
		"not a message":         {1, 0, 0, 0, 0xff},
		"sequence is a text":    pdktest.Frame(&kong_plugin_protocol.String{V: "1"}),
		"event isn't a message": {4, 0, 0, 0, 0xa2, 2, 1, 0xff}, // field 36
	} {
		conn := pdktest.Dial(t, s.path)
		if _, err := conn.Write(append(sent, pdktest.HostileText(0, "")...)); err != nil {
			t.Fatal(err)
		}
		if answered, err := io.ReadAll(conn); err != nil || len(answered) != 0 {
			t.Errorf("%s: got %q, %v", name, answered, err)
		}
		conn.Close()
	}
	if n := f.started.Load() + f.handled.Load(); n != 0 {
		t.Errorf("%d calls were answered", n)
	}
}
