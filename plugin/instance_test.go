package plugin

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/test/pdktest"
)

const goodConfig = `{"issuer":"https://example.kinde.com","redis":{"host":"127.0.0.1","port":1},
	"jwks_uri":"http://127.0.0.1:1/jwks","signing":{"jwks_file":"/nonexistent/keys.json"},
	"claims":[{"name":"org_code","from":"organization.code"}],"__seq__":1}`

func checkInternalError(t *testing.T, k *pdktest.Kong) {
	t.Helper()
	if k.Exit == nil || k.Exit.Status != 500 || !strings.Contains(string(k.Exit.Body), "internal_error") {
		t.Fatalf("exit %v", k.Exit)
	}
	if len(k.Log) == 0 {
		t.Error("nothing was logged")
	}
}

// TestPanic: whatever breaks in a handler, the event ends and the process
// lives.
func TestPanic(t *testing.T) {
	i := withoutEnricher(t, goodConfig)
	k := &pdktest.Kong{Replies: pdktest.Replies{
		"kong.service.response.get_status": pdktest.Number(200),
	}}
	handle(t, k, "response", i.handleEvent)
	checkInternalError(t, k)
	if !strings.Contains(k.Log[0], "panic") || !strings.Contains(k.Log[0], "enrich.go") {
		t.Errorf("the log doesn't say where: %s", k.Log[0])
	}
}

func TestPanicValueIsNotShown(t *testing.T) {
	if text := panicked(errors.New("a secret")).Error(); strings.Contains(text, "a secret") {
		t.Error(text)
	}
}

// TestInvalidConfig: an instance with an invalid configuration starts, because Kong
// would swallow the reason, and refuses each request with it in the log.
func TestInvalidConfig(t *testing.T) {
	for config, want := range map[string]string{
		strings.Replace(goodConfig, "https://example.kinde.com", "ftp://x", 1): "config.management_audiences",
		"{": "can't be used",
	} {
		i := start(t, config)
		for _, phase := range []string{"access", "response"} {
			k := &pdktest.Kong{}
			handle(t, k, phase, i.handleEvent)
			checkInternalError(t, k)
			if !strings.Contains(k.Log[0], want) {
				t.Errorf("log %q, want %q in it", k.Log, want)
			}
		}
	}
}

// TestKongGoesAway: a handler whose Kong is gone ends.
func TestKongGoesAway(t *testing.T) {
	i := start(t, goodConfig)
	for _, phase := range []string{"access", "response"} {
		ours, theirs := pdktest.Sockets(t)
		if _, err := ours.Write(pdktest.Frame(pdktest.Event(1, i.id, phase))); err != nil {
			t.Fatal(err)
		}
		ours.Close()
		pdk.NewServer(Name, i.all).ServeConn(theirs)
	}
}

func TestLogLine(t *testing.T) {
	r := enrich.Result{Outcome: enrich.MissingProperty, ClientID: "app\"1", Action: enrich.Pass, Cause: errors.New("line\nbreak")}
	want := `outcome=missing_property client="app\"1" request="r1" answer=upstream cause="line\nbreak" ` +
		`hint=` + strconv.Quote(enrich.MissingProperty.Advice()) + ` not_logged=3`
	if got := logLine(r, "r1", 3); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestFewQuestions: an enriched token costs six variables in access, four getters
// and an exit in response, in one batch each and one write for the end of the event.
// What a decision doesn't need isn't asked.
func TestFewQuestions(t *testing.T) {
	i := start(t, goodConfig)
	const form = "grant_type=client_credentials&client_id=a&client_secret=b"
	answers := pdktest.Replies{
		pdktest.Variable("request"):           pdktest.Text("POST /oauth2/token HTTP/1.1"),
		pdktest.Variable("http_content_type"): pdktest.Text("application/x-www-form-urlencoded"),
		"kong.service.response.get_status":    pdktest.Number(200),
		"kong.service.response.get_raw_body":  pdktest.Text(`{"access_token":"x"}`),
		"kong.request.get_raw_body":           pdktest.Body(form),
	}
	access := &pdktest.Kong{Replies: answers}
	handle(t, access, "access", i.handleEvent)
	if len(access.Calls) != 6 || access.Writes != 2 || access.Exit != nil {
		t.Errorf("access: %v in %d writes, exit %v", access.Calls, access.Writes, access.Exit)
	}
	response := &pdktest.Kong{Replies: answers}
	handle(t, response, "response", func(k *pdk.Event) {
		i.handle(i.event(k), func(_ context.Context, e *event) error {
			if _, _, err := e.exchange(i.questions); err != nil {
				return err
			}
			answer(e, enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, Status: 200, Body: []byte("{}")})
			return nil
		})
	})
	if len(response.Calls) != 5 || response.Writes != 2 {
		t.Errorf("response: %v in %d writes", response.Calls, response.Writes)
	}
	failed := &pdktest.Kong{Replies: pdktest.Replies{"kong.service.response.get_status": pdktest.Number(503)}}
	handle(t, failed, "response", i.handleEvent)
	if len(failed.Calls) != 5 || failed.Writes != 2 || failed.Exit != nil { // the outcome is shared with later plugins
		t.Errorf("an upstream's error: %v in %d writes", failed.Calls, failed.Writes)
	}
}

// TestLogIsOneLine: what a client, a provider or a collector says can't begin a
// line of Kong's log or steer a terminal that shows it.
func TestLogIsOneLine(t *testing.T) {
	const forged = "x\n2026/01/01 [error] forged\x1b[31m\u2028\u202e\xff"
	k := &pdktest.Kong{}
	handle(t, k, "response", func(side *pdk.Event) {
		e := &event{kong: side, failures: newFailureLimit(time.Now)}
		logFailure(e, enrich.Result{Outcome: enrich.InternalError, ClientID: forged, Cause: errors.New(forged)}, forged)
		e.warn("traces", errors.Join(errors.New(forged), errors.New("\u009b")))
		e.log(pdk.Notice, "signs="+forged)
		e.log(pdk.Warn, forged)
		e.log(pdk.Error, forged)
	})
	if len(k.Log) != 5 {
		t.Fatalf("%d lines: %q", len(k.Log), k.Log)
	}
	for _, line := range k.Log {
		if line != visible.Line(line) || !strings.Contains(line, `\x1b[31m`) {
			t.Errorf("the line is %q", line)
		}
	}
}

// TestAccess: the key set is published, and what no token endpoint knows is refused.
// The log has once what serves.
func TestAccess(t *testing.T) {
	good, _ := able(t)
	i := ready(t, start(t, good))
	serving := 0
	for line, want := range map[string]int32{
		"GET /m2m/jwks.json HTTP/1.1": 200, "HEAD /m2m/jwks.json HTTP/1.1": 200, "GET /oauth2/token HTTP/1.1": 405, "PUT /m2m/jwks.json HTTP/1.1": 405,
	} {
		k := &pdktest.Kong{Replies: pdktest.Replies{pdktest.Variable("request"): pdktest.Text(line)}}
		handle(t, k, "access", i.handleEvent)
		if k.Exit == nil || k.Exit.Status != want {
			t.Errorf("%s: exit %v, want status %d", line, k.Exit, want)
		}
		serving += strings.Count(strings.Join(k.Log, "\n"), `serving issuer="https://example.kinde.com" signs=`)
	}
	if serving != 1 {
		t.Errorf("%d lines of what serves, want 1", serving)
	}
}
