package plugin

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// modeConfigs are for enforcing, observing, and enforcing for a share.
var modeConfigs = []string{goodConfig, observing, strings.Replace(goodConfig, `"__seq__"`, `"enforce_share":50,"__seq__"`, 1)}

// outOfStep plays two events with replies of kinds.
type outOfStep struct {
	instances *instances
	ids       []int32 // by modeConfigs
}

func newOutOfStep() outOfStep {
	o := outOfStep{instances: newInstances()}
	o.instances.lastID = 0 // so that hostileText calls known ones
	begun := time.Now()
	o.instances.now = func() time.Time { return begun } // none becomes unused
	for _, config := range modeConfigs {
		o.ids = append(o.ids, o.instances.start([]byte(config)).id)
	}
	return o
}

// play holds the rule: whatever Kong's replies are, no question is given the
// answer to another, no text is taken for a call, each event ends once, and a
// connection that brought what can't be read serves no further event.
func (o outOfStep) play(t *testing.T, phase string, mode int, offset byte, kinds []byte) {
	t.Helper()
	ours, theirs := sockets(t)
	defer ours.Close()
	if err := ours.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	server, handler := newServer(o.instances), &questioner{t: t, offset: int(offset)}
	server.handle = handler.phase
	done := make(chan struct{})
	go func() { defer close(done); server.connection(theirs) }()

	k := &honestKong{conn: ours, kinds: kinds, offset: int(offset)}
	if !k.call(1, o.ids[mode], phase) {
		t.Fatal("the event didn't end")
	}
	doubt := k.spoiled
	if k.err == nil && !k.dead && k.ends[0] == "return" && k.call(2, o.ids[mode], phase) == doubt {
		t.Errorf("the next event was served: %t, after a reply that can't be read: %t", !doubt, doubt)
	}
	_ = ours.(*net.UnixConn).CloseWrite()
	rest, err := io.ReadAll(ours)
	ours.Close()
	<-done
	if k.err != nil || err != nil || len(rest) != 0 {
		t.Errorf("after %v came %q: %v, %v", k.ends, rest, k.err, err)
	}
	if handler.handled != len(k.ends) || o.instances.Instances() != len(o.ids) {
		t.Errorf("%d events were handled and %d ended; there are %d instances", handler.handled, len(k.ends), o.instances.Instances())
	}
}

// TestOutOfStep: each reply spoiled in each way, alone, and all of them.
func TestOutOfStep(t *testing.T) {
	o := newOutOfStep()
	for _, phase := range []string{"access", "response"} {
		for mode := range modeConfigs {
			for kind := range byte(replyKinds) {
				for position := range 14 {
					o.play(t, phase, mode, byte(position), append(make([]byte, position), kind))
				}
				o.play(t, phase, mode, 3, bytes.Repeat([]byte{kind}, 20))
			}
		}
	}
}

// FuzzOutOfStep: as TestOutOfStep, for any replies.
func FuzzOutOfStep(f *testing.F) {
	for kind := range byte(replyKinds) {
		f.Add(kind%2 == 0, kind, kind, []byte{hostileReply, kind, kind})
	}
	o := newOutOfStep()
	f.Fuzz(func(t *testing.T, access bool, mode, offset byte, kinds []byte) {
		phase := "response"
		if access {
			phase = "access"
		}
		o.play(t, phase, int(mode)%len(modeConfigs), offset, kinds)
	})
}

// largeBody is an upstream's body that is larger than a frame may be, and that
// is frames itself for a reader that skips the reply's head: two that are given
// to the questions before, then calls.
func largeBody() string {
	const size = maxFrame + 1000
	calls := hostileText(0, "")
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
			s := serve(t)
			id := s.start(tt.config)
			var handled atomic.Int32
			handle := s.server.handle
			s.server.handle = func(i *instance, phase string, k *kong) {
				handled.Add(1)
				if tt.answer == 0 {
					handle(i, phase, k)
				} else if _, err := k.exchange(); err != nil {
					k.exit(500, make([]byte, tt.answer), changed)
				}
			}
			conn := s.dial()
			if _, err := conn.Write(inFrame(event(1, id, "response"))); err != nil {
				t.Fatal(err)
			}
			end, err := answerLarge(conn, body)
			if err != nil || end != tt.end {
				t.Fatalf("it ended by %q: %v", end, err)
			}
			if rest, err := io.ReadAll(conn); err != nil || len(rest) != 0 {
				t.Errorf("then came %q: %v", rest, err)
			}
			if handled.Load() != 1 || s.server.instances.Instances() != 1 {
				t.Errorf("%d events, %d instances", handled.Load(), s.server.instances.Instances())
			}
		})
	}
}

// answerLarge answers an event's questions, the upstream's body with body, and
// returns how the event ended.
func answerLarge(conn net.Conn, body string) (end string, err error) {
	for {
		method, err := readFrame(conn)
		if err != nil {
			return "", err
		}
		if _, err := readFrame(conn); err != nil {
			return "", err
		}
		switch string(method) {
		case "":
			return "return", nil
		case "kong.response.exit":
			return "exit", nil
		}
		text := ""
		if string(method) == "kong.service.response.get_raw_body" {
			text = body
		}
		if _, err := conn.Write(inFrame(replyTo(string(method), text))); err != nil {
			return "", err
		}
	}
}

// TestHeadTakesNoMemory: a frame's memory comes with its bytes.
func TestHeadTakesNoMemory(t *testing.T) {
	ours, theirs := sockets(t)
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
	s := serve(t)
	for name, sent := range map[string][]byte{
		"too large":             append(binary.LittleEndian.AppendUint32(nil, maxFrame+1), hostileText(0, "")...),
		"not a message":         {1, 0, 0, 0, 0xff},
		"sequence is a text":    inFrame(&kong_plugin_protocol.String{V: "1"}),
		"event isn't a message": {4, 0, 0, 0, 0xa2, 2, 1, 0xff}, // field 36
	} {
		conn := s.dial()
		if _, err := conn.Write(append(sent, hostileText(0, "")...)); err != nil {
			t.Fatal(err)
		}
		if answered, err := io.ReadAll(conn); err != nil || len(answered) != 0 {
			t.Errorf("%s: got %q, %v", name, answered, err)
		}
		conn.Close()
	}
	if n := s.server.instances.Instances(); n != 0 {
		t.Errorf("%d instances were started", n)
	}
}
