package kinde

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"m2m-token-enricher/test/await"
)

// TestUnverifiedLines: of a flood of unsigned requests, ten short lines a minute
// are logged and the rest is counted. The tenant's own events are still logged.
func TestUnverifiedLines(t *testing.T) {
	h := startHook(t)
	h.unverified.now = h.clock
	forged := strings.Repeat("x", 60<<10) + ".e30.e30"
	for range 100 {
		h.post(forged, 401)
	}
	if n := len(h.logs); n != unverifiedLines {
		t.Errorf("got %d lines, want %d", n, unverifiedLines)
	}
	for _, line := range h.logs {
		if len(line) > 2*unverifiedReason {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
	h.organization("after", true)
	h.post(h.event(eventOfUpdate, "org_a"), 204)
	h.expectRecord("after", true)
	if last := h.logs[len(h.logs)-1]; !strings.Contains(last, "updated") {
		t.Errorf("the event's line is %q", last)
	}
	_ = h.pass(t.Context(), time.Minute)
	h.post(forged, 401)
	if last := h.logs[len(h.logs)-1]; !strings.Contains(last, "90 that weren't logged") {
		t.Errorf("the line is %q", last)
	}
}

// TestUnverifiedAtOnce: a limited number of requests is read at once. The tenant
// sends its event again.
func TestUnverifiedAtOnce(t *testing.T) {
	h := startHook(t)
	h.organization("after", true)
	var requests sync.WaitGroup
	var senders []*io.PipeWriter
	for range maxReceiving {
		body, sender := io.Pipe()
		senders = append(senders, sender)
		requests.Go(func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", body))
		})
	}
	await.True(t, "all places are taken", func() bool { return len(h.receiving) == maxReceiving })
	event := h.event(eventOfUpdate, "org_a")
	h.post(event, 503)
	for _, sender := range senders {
		_ = sender.CloseWithError(io.ErrUnexpectedEOF)
	}
	requests.Wait()
	h.post(event, 204)
	h.expectRecord("after", true)
}

// TestUnverifiedKeys: unsigned events cause one request for the tenant's keys.
func TestUnverifiedKeys(t *testing.T) {
	h := startHook(t)
	h.post(h.event(eventOfUpdate, "org_a"), 204)
	before := h.tenant.Hits("/.well-known/jwks")
	for i := range 50 {
		header := bytes.Replace([]byte(`{"alg":"RS256","kid":"k?"}`), []byte("?"), []byte{'a' + byte(i%26)}, 1)
		h.post(encode(header)+".e30.AAAA", 401)
		h.post(h.event(eventOfUpdate, "org_a")+"AAAA", 401) // a wrong signature of a known key
	}
	if n := h.tenant.Hits("/.well-known/jwks") - before; n > 1 {
		t.Errorf("got %d requests for keys, want at most 1", n)
	}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
