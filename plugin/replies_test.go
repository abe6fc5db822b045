package plugin

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/test/pdktest"
)

// modeConfigs are for enforcing, observing, and enforcing for a share.
var modeConfigs = []string{goodConfig, observing, strings.Replace(goodConfig, `"__seq__"`, `"enforce_share":50,"__seq__"`, 1)}

// counting are instances whose events are counted, and handled by handle unless it
// is nil.
type counting struct {
	*instances
	handle  func(*pdk.Event)
	handled atomic.Int32
}

func (c *counting) HandleEvent(k *pdk.Event) (known bool) {
	c.handled.Add(1)
	if c.handle == nil {
		return c.instances.HandleEvent(k)
	}
	c.handle(k)
	return true
}

// TestSpoiledReplies: whatever Kong's replies are, each event of each
// configuration ends once, and no text is read as a call.
func TestSpoiledReplies(t *testing.T) {
	is := newTestInstances(t)
	is.lastID = 0 // the hostile text then calls known ones
	start := time.Now()
	is.now = func() time.Time { return start } // none becomes idle
	var ids []int32
	for _, config := range modeConfigs {
		ids = append(ids, is.start([]byte(config)).id)
	}
	play := func(phase string, id int32, offset int, kinds []byte) {
		t.Helper()
		c := &counting{instances: is}
		k := &pdktest.Honest{Kinds: kinds, Offset: offset}
		ended := k.Play(t, pdk.NewServer(Name, c).ServeConn, id, phase)
		if handled := int(c.handled.Load()); handled != ended || is.Instances() != len(ids) {
			t.Errorf("%d events were handled and %d ended; there are %d instances", handled, ended, is.Instances())
		}
	}
	for _, phase := range []string{"access", "response"} {
		for _, id := range ids {
			for kind := range byte(pdktest.ReplyKinds) {
				for position := range 14 {
					play(phase, id, position, append(make([]byte, position), kind))
				}
				play(phase, id, 3, bytes.Repeat([]byte{kind}, 20))
			}
		}
	}
}

// TestExchange: each answer of Kong's reaches the decision as what it is.
func TestExchange(t *testing.T) {
	k := &pdktest.Honest{}
	k.Play(t, pdk.NewServer(Name, handles(func(p *pdk.Event) {
		e := &event{kong: p}
		x, _, err := e.exchange(newQuestions(false, true))
		if err == nil {
			err = e.details(&x)
		}
		if err != nil {
			t.Error(err)
		}
		variable := func(name string) string { return pdktest.AnswerTo("kong.nginx.get_var", name) }
		for _, tt := range []struct{ got, want string }{
			{string(x.Response.Body), pdktest.AnswerTo("kong.service.response.get_raw_body", "")},
			{x.Response.ContentEncoding, pdktest.AnswerTo("kong.service.response.get_header", "content-encoding")},
			{string(x.Request.Body), pdktest.AnswerTo("kong.request.get_raw_body", "")},
			{x.Request.Method, pdktest.AnswerTo("kong.request.get_method", "")},
			{x.Request.Query, pdktest.AnswerTo("kong.request.get_raw_query", "")},
			{x.Request.ContentType, variable("http_content_type")},
			{x.Request.ContentEncoding, variable("http_content_encoding")},
			{x.Request.Authorization, variable("http_authorization")},
			{x.Request.Cookie, variable("http_cookie")},
			{x.IP, variable("remote_addr")},
			{strings.Join(e.cacheHeaders, " "), "cdn-cache-control"},
		} {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		}
		if x.Response.Status != 200 || x.Response.HeadersError != nil || x.Request.BodyError != nil {
			t.Errorf("status %d, headers %v, body %v", x.Response.Status, x.Response.HeadersError, x.Request.BodyError)
		}
	})).ServeConn, 1, "response")
}

// largeBody is an upstream's body that is larger than a frame may be, and that
// is frames itself for a reader that skips the reply's head: two that are given
// to the questions before, then calls.
func largeBody() string {
	const size = pdktest.MaxFrame + 1000
	calls := pdktest.HostileText(0, "")
	body := make([]byte, 3+size>>21) // with the last byte of the length, a frame
	pad := make([]byte, (size-len(body)-8-len(calls))/2)
	for range 2 {
		body = append(binary.LittleEndian.AppendUint32(body, uint32(len(pad))), pad...)
	}
	return string(body) + calls
}

// TestLargeReply: an upstream's body that is larger than a frame may be ends the
// event, though Kong sends all of it before it reads, and the plugin's answer
// doesn't fit into the socket.
func TestLargeReply(t *testing.T) {
	body := largeBody()
	for name, tt := range map[string]struct {
		config string
		answer int // bytes, 0: the plugin's own
		end    string
	}{
		"enforce":      {modeConfigs[0], 0, "exit"},
		"observe":      {modeConfigs[1], 0, "return"},
		"share":        {modeConfigs[2], 0, "return"},
		"large answer": {modeConfigs[0], 8 << 20, "exit"},
	} {
		t.Run(name, func(t *testing.T) {
			is := newTestInstances(t)
			c := &counting{instances: is}
			if tt.answer > 0 {
				c.handle = func(k *pdk.Event) {
					if _, err := k.Exchange(pdk.PrepareExchange(), cacheHeader); err != nil {
						k.Exit(500, make([]byte, tt.answer), enrichedHeaders)
					}
				}
			}
			conn := pdktest.Dial(t, serve(t, c))
			conn.Send(pdktest.Event(1, is.start([]byte(tt.config)).id, "response"))
			end, err := answerLarge(conn, body)
			if err != nil || end != tt.end {
				t.Fatalf("it ended by %q: %v", end, err)
			}
			if rest, err := io.ReadAll(conn); err != nil || len(rest) != 0 {
				t.Errorf("then came %q: %v", rest, err)
			}
			if c.handled.Load() != 1 || is.Instances() != 1 {
				t.Errorf("%d events, %d instances", c.handled.Load(), is.Instances())
			}
		})
	}
}

// answerLarge answers an event's questions, the upstream's body with body, and
// returns how the event ended.
func answerLarge(conn net.Conn, body string) (end string, err error) {
	for {
		method, err := pdktest.ReadFrame(conn)
		if err != nil {
			return "", err
		}
		if _, err := pdktest.ReadFrame(conn); err != nil {
			return "", err
		}
		switch string(method) {
		case "":
			return "return", nil
		case "kong.response.exit":
			return "exit", nil
		}
		reply := pdktest.Text("")
		switch string(method) {
		case "kong.service.response.get_raw_body":
			reply = pdktest.Text(body)
		case "kong.service.response.get_status":
			reply = pdktest.Number(200)
		}
		if _, err := conn.Write(pdktest.Frame(reply)); err != nil {
			return "", err
		}
	}
}
