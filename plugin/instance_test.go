package plugin

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/visible"
)

const goodConfig = `{"issuer":"https://example.kinde.com","redis":{"host":"127.0.0.1","port":1},
	"jwks_uri":"http://127.0.0.1:1/jwks","signing":{"jwks_file":"/nonexistent/keys.json"},
	"claims":[{"name":"org_code","from":"organization.code"}],"__seq__":1}`

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
	i := withoutEnricher(t, goodConfig)
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
	i := start(t, strings.Replace(goodConfig, "https://example.kinde.com", "ftp://x", 1))
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
	i := start(t, "{")
	k := &kongSide{}
	k.handle(t, i.access)
	checkInternalError(t, k)
}

// TestKongGoesAway: a handler whose Kong is gone ends.
func TestKongGoesAway(t *testing.T) {
	i := start(t, goodConfig)
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

func TestLogLine(t *testing.T) {
	r := enrich.Result{Outcome: enrich.MissingProperty, ClientID: "app\"1", Action: enrich.Pass, Cause: errors.New("line\nbreak")}
	const want = `outcome=missing_property client="app\"1" request="r1" answer=upstream cause="line\nbreak" ` +
		`todo="write the property, or give the claim a default" not_logged=3`
	if got := logLine(r, "r1", 3); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestFewQuestions: an enriched token costs two getters in access, four and an
// exit in response, in one batch each and one write for the answer. What a
// decision doesn't need isn't asked.
func TestFewQuestions(t *testing.T) {
	i := start(t, goodConfig)
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
		i.handle(k, func(ctx context.Context, k *kong, _ *gateway.Gateway) error {
			if _, err := k.exchange(); err != nil {
				return err
			}
			answer(k, enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, Status: 200, Body: []byte("{}")})
			return nil
		})
	})
	if len(response.calls) != 5 || response.writes != 2 {
		t.Errorf("response: %v in %d writes", response.calls, response.writes)
	}
	failed := &kongSide{replies: map[string]proto.Message{"kong.service.response.get_status": &kong_plugin_protocol.Int{V: 503}}}
	failed.handle(t, i.response)
	if len(failed.calls) != 5 || failed.writes != 2 || failed.exit != nil { // the outcome is shared with later plugins
		t.Errorf("an upstream's error: %v in %d writes", failed.calls, failed.writes)
	}
}

// TestLogIsOneLine: what a client, a provider or a collector says can't begin a
// line of Kong's log or steer a terminal that shows it.
func TestLogIsOneLine(t *testing.T) {
	const forged = "x\n2026/01/01 [error] forged\x1b[31m\u2028\u202e\xff"
	k := &kongSide{}
	k.handle(t, func(side *kong) {
		report(side, enrich.Result{Outcome: enrich.InternalError, ClientID: forged, Cause: errors.New(forged)}, forged)
		tellOf(side, "traces", errors.Join(errors.New(forged), errors.New("\u009b")))
		side.notice("signs=" + forged)
		side.warn(forged)
		side.fail(forged)
	})
	if len(k.log) != 5 {
		t.Fatalf("%d lines: %q", len(k.log), k.log)
	}
	for _, line := range k.log {
		if line != visible.Line(line) || !strings.Contains(line, `\x1b[31m`) {
			t.Errorf("the line is %q", line)
		}
	}
}
