package plugin

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/metrics"
	"m2m-token-enricher/schema"
)

// kongSide answers a handler's PDK calls with empty values, but for those in
// replies, and keeps the calls, the exit and the log.
type kongSide struct {
	replies map[string]proto.Message
	calls   []string
	writes  int // that the plugin made
	exit    *kong_plugin_protocol.ExitArgs
	log     []string
	err     error
}

func (k *kongSide) serve(conn net.Conn) {
	defer conn.Close()
	k.serveEvent(conn)
}

// serveEvent answers until the event ends.
func (k *kongSide) serveEvent(conn net.Conn) {
	for {
		method, err := readFrame(conn)
		if err != nil || len(method) == 0 {
			return // the handler is done
		}
		args, err := readFrame(conn)
		if err != nil {
			k.err = err
			return
		}
		k.calls = append(k.calls, string(method))
		switch {
		case string(method) == "kong.response.exit":
			k.exit = &kong_plugin_protocol.ExitArgs{}
			k.err = proto.Unmarshal(args, k.exit)
			return // as Kong does: there is no reply
		case strings.HasPrefix(string(method), "kong.log."):
			var list structpb.ListValue
			k.err = proto.Unmarshal(args, &list)
			k.log = append(k.log, list.Values[0].GetStringValue())
		}
		reply := []byte{}
		if m := k.replies[string(method)]; m != nil {
			if reply, err = proto.Marshal(m); err != nil {
				k.err = err
				return
			}
		}
		if _, err := conn.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(reply))), reply...)); err != nil {
			return
		}
	}
}

func readFrame(r io.Reader) ([]byte, error) {
	var size uint32
	if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
		return nil, err
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(r, frame)
	return frame, err
}

// counted counts the writes on a connection.
type counted struct {
	net.Conn
	writes *int
}

func (c counted) Write(b []byte) (int, error) {
	*c.writes++
	return c.Conn.Write(b)
}

// sockets returns the two ends of a connection.
func sockets(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]net.Conn, 2)
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		if ends[i], err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// handle runs a handler against k and returns when both are done.
func (k *kongSide) handle(t *testing.T, handler func(*kong)) {
	t.Helper()
	ours, theirs := sockets(t)
	done := make(chan struct{})
	go func() { defer close(done); k.serve(ours) }()
	w := newWire(counted{theirs, &k.writes})
	side := &kong{wire: w}
	handler(side)
	if side.exited {
		w.hangUp()
	} else if err := w.settle(); err != nil && k.err == nil {
		t.Log(err)
	}
	theirs.Close()
	<-done
	if k.err != nil {
		t.Fatal(k.err)
	}
}

const goodConfig = `{"issuer":"https://example.kinde.com","redis":{"host":"127.0.0.1","port":1},
	"jwks_uri":"http://127.0.0.1:1/jwks","signing":{"jwks_file":"/nonexistent/keys.json"},
	"claims":[{"name":"org_code","from":"organization.code"}],"__seq__":1}`

func start(t *testing.T, rs *runtimes, config string) *Instance {
	t.Helper()
	return newInstance(rs, []byte(config))
}

func newTestRuntimes(t *testing.T) *runtimes {
	rs := newRuntimes()
	t.Cleanup(func() {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		for _, r := range rs.running {
			if err := r.close(); err != nil {
				t.Error(err)
			}
		}
	})
	return rs
}

func checkInternalError(t *testing.T, k *kongSide) {
	t.Helper()
	if k.exit == nil || k.exit.Status != 500 || !strings.Contains(string(k.exit.Body), "internal_error") {
		t.Fatalf("exit %v", k.exit)
	}
	if len(k.log) == 0 {
		t.Error("nothing was logged")
	}
}

// TestPanic: whatever breaks in a handler, the event ends and the process
// lives.
func TestPanic(t *testing.T) {
	rs := newTestRuntimes(t)
	open := rs.open
	rs.open = func(cfg *schema.Config, m *metrics.Metrics) (*runningConfig, error) {
		r, err := open(cfg, m)
		r.enricher = nil
		return r, err
	}
	i := start(t, rs, goodConfig)
	k := &kongSide{replies: map[string]proto.Message{
		"kong.service.response.get_status": &kong_plugin_protocol.Int{V: 200},
	}}
	k.handle(t, i.response)
	checkInternalError(t, k)
	if !strings.Contains(k.log[0], "panic") || !strings.Contains(k.log[0], "enrich.go") {
		t.Errorf("the log doesn't say where: %s", k.log[0])
	}
}

func TestPanicValueIsNotShown(t *testing.T) {
	if text := panicked(errors.New("a secret")).Error(); strings.Contains(text, "a secret") {
		t.Error(text)
	}
}

// TestMistake: an instance with a wrong configuration starts, since Kong would
// swallow the reason, and refuses each request with it in the log.
func TestMistake(t *testing.T) {
	i := start(t, newTestRuntimes(t), strings.Replace(goodConfig, "https://example.kinde.com", "ftp://x", 1))
	for _, handler := range []func(*kong){i.access, i.response} {
		k := &kongSide{}
		k.handle(t, handler)
		checkInternalError(t, k)
		if !strings.Contains(k.log[0], "config.management_audiences") {
			t.Errorf("log %q", k.log)
		}
	}
}

func TestNotEvenJSON(t *testing.T) {
	i := start(t, newTestRuntimes(t), "{")
	k := &kongSide{}
	k.handle(t, i.access)
	checkInternalError(t, k)
}

// TestKongGoesAway: a handler whose Kong is gone ends.
func TestKongGoesAway(t *testing.T) {
	i := start(t, newTestRuntimes(t), goodConfig)
	for _, handler := range []func(*kong){i.access, i.response} {
		ours, theirs := sockets(t)
		ours.Close()
		k := &kong{wire: newWire(theirs)}
		handler(k)
		k.wire.hangUp()
	}
}

func TestRequestBodyLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		reply      *kong_plugin_protocol.RawBodyResult
		size       int
		unreadable bool
	}{
		"content": {&kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: make([]byte, maxRequestSize)}}, maxRequestSize, false},
		"large":   {&kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: make([]byte, maxRequestSize+1)}}, 0, true},
		"no file": {&kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_BodyFilepath{BodyFilepath: "/nonexistent"}}, 0, true},
		"endless": {&kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_BodyFilepath{BodyFilepath: "/dev/zero"}}, 0, true},
		"error":   {&kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Error{Error: "x"}}, 0, true},
		"none":    {&kong_plugin_protocol.RawBodyResult{}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kongSide{replies: map[string]proto.Message{"kong.request.get_raw_body": tt.reply}}
			k.handle(t, func(p *kong) {
				p.wire.ask("kong.request.get_raw_body", nothing)
				body, unreadable, err := p.requestBody()
				if err != nil || len(body) != tt.size || (unreadable != nil) != tt.unreadable {
					t.Errorf("%d bytes, unreadable %v, error %v", len(body), unreadable, err)
				}
			})
		})
	}
}

func TestRuntimesAreShared(t *testing.T) {
	rs := newTestRuntimes(t)
	now := time.Unix(1_800_000_000, 0)
	rs.now = func() time.Time { return now }
	first := start(t, rs, goodConfig)
	start(t, rs, strings.Replace(goodConfig, `"__seq__":1`, `"__seq__":2,"route_id":"x"`, 1))
	if len(rs.running) != 1 {
		t.Errorf("%d for one configuration", len(rs.running))
	}
	start(t, rs, strings.Replace(goodConfig, "/jwks", "/other", 1))
	if len(rs.running) != 2 {
		t.Errorf("%d for two configurations", len(rs.running))
	}
	now = now.Add(unusedAfter - time.Second)
	if _, err := rs.get(first.cfg); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Minute)
	again, err := rs.get(first.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(rs.running) != 1 {
		t.Errorf("%d though one is unused", len(rs.running))
	}
	now = now.Add(2 * unusedAfter)
	if reopened, err := rs.get(first.cfg); err != nil || reopened == again {
		t.Errorf("an unused configuration isn't opened again: %v", err)
	}
}

func TestLogLine(t *testing.T) {
	r := enrich.Result{Outcome: enrich.MissingProperty, ClientID: "app\"1", Action: enrich.Pass, Cause: errors.New("line\nbreak")}
	const want = `outcome=missing_property client="app\"1" request="r1" answer=upstream cause="line\nbreak" ` +
		`todo="write the property, or give the claim a default" not_logged=3`
	if got := logLine(r, "r1", 3); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCheckReportsEverything(t *testing.T) {
	var given map[string]any
	if err := json.Unmarshal([]byte(strings.Replace(goodConfig, `,"__seq__":1`, "", 1)), &given); err != nil {
		t.Fatal(err)
	}
	var mistakes []string
	for _, f := range Check(context.Background(), given) {
		if f.Mistake != nil {
			mistakes = append(mistakes, f.What)
		}
	}
	if got := strings.Join(mistakes, ", "); got != "signing keys, provider's keys, redis at 127.0.0.1:1" {
		t.Errorf("mistakes: %s", got)
	}
	given["timeout"], given["leeway"] = "x", 1e9
	if findings := Check(context.Background(), given); len(findings) != 2 {
		t.Errorf("findings %v", findings)
	}
}

// TestFewQuestions: an enriched token costs two getters in access, three and an
// exit in response, in one batch each and one write for the answer. What a
// decision doesn't need isn't asked.
func TestFewQuestions(t *testing.T) {
	rs := newTestRuntimes(t)
	i := start(t, rs, goodConfig)
	const form = "grant_type=client_credentials&client_id=a&client_secret=b"
	text := func(s string) proto.Message { return &kong_plugin_protocol.ByteString{V: []byte(s)} }
	answers := map[string]proto.Message{
		"kong.nginx.get_var":                 text("POST /oauth2/token HTTP/1.1"),
		"kong.request.get_headers":           &structpb.Struct{Fields: map[string]*structpb.Value{"content-type": structpb.NewStringValue("application/x-www-form-urlencoded")}},
		"kong.service.response.get_status":   &kong_plugin_protocol.Int{V: 200},
		"kong.service.response.get_raw_body": text(`{"access_token":"x"}`),
		"kong.request.get_raw_body":          &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte(form)}},
	}
	access := &kongSide{replies: answers}
	access.handle(t, i.access)
	if len(access.calls) != 2 || access.writes != 1 {
		t.Errorf("access: %v in %d writes", access.calls, access.writes)
	}
	response := &kongSide{replies: answers}
	response.handle(t, func(k *kong) {
		i.handle(k, func(ctx context.Context, k *kong, _ *runningConfig) error {
			if _, err := k.exchange(); err != nil {
				return err
			}
			answer(k, enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, Status: 200, Body: []byte("{}")})
			return nil
		})
	})
	if len(response.calls) != 4 || response.writes != 2 {
		t.Errorf("response: %v in %d writes", response.calls, response.writes)
	}
	failed := &kongSide{replies: map[string]proto.Message{"kong.service.response.get_status": &kong_plugin_protocol.Int{V: 503}}}
	failed.handle(t, i.response)
	if len(failed.calls) != 4 || failed.writes != 2 || failed.exit != nil { // the outcome is shared with later plugins
		t.Errorf("an upstream's error: %v in %d writes", failed.calls, failed.writes)
	}
}
