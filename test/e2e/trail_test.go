package e2e

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m2m-token-enricher/test/otlptest"
)

// TestAudit: each token that the gateway signed has a line, and no other answer has.
func TestAudit(t *testing.T) {
	w := build(t, nil)
	path := filepath.Join(openDir(t), "audit.log")
	w.flags = []string{"-audit", path}
	w.start()
	claims := w.enriched(w.ask(form()))
	w.provider.Add("nobody", secret)
	w.refused(w.ask(form("client_id", "nobody")), 400, "unauthorized_client", "unknown_application")
	w.enriched(w.ask(form()))
	var lines []string
	w.eventually(func() error {
		text, err := os.ReadFile(path)
		if lines = strings.Split(strings.TrimSpace(string(text)), "\n"); err != nil || len(lines) < 2 {
			return errors.Join(errors.New("the audit log has no two lines"), err)
		}
		return nil
	})
	var line struct {
		Time, JTI, Issuer, Client, Organization, KID string
		Claims                                       []string
	}
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 2 || line.Client != client || line.Organization != org || line.JTI != claims["jti"] || line.KID == "" || line.Time == "" ||
		strings.Join(line.Claims, " ") != "org_code org_name" {
		t.Errorf("got the lines %q, want two about client %s", lines, client)
	}
	if strings.Contains(strings.Join(lines, ""), secret) || strings.Contains(strings.Join(lines, ""), "Acme") {
		t.Error("a secret or a claim's value is in the audit log")
	}
}

// TestNobodyTakesIt: tokens are issued even if nobody takes their lines and
// spans. Kong's log reports the loss.
func TestNobodyTakesIt(t *testing.T) {
	w := build(t, nil)
	collector := otlptest.Start(t)
	collector.Refuse()
	w.flags = []string{"-audit", "/nonexistent/audit.log"}
	w.env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}
	w.start()
	for _, line := range []string{"audit log: /nonexistent/audit.log: ", " spans were rejected"} {
		w.eventually(func() error {
			w.enriched(w.ask(form()))
			if !strings.Contains(w.gateway.Log(), line) {
				return fmt.Errorf("the log has no line with %q", line)
			}
			return nil
		})
	}
}

// TestTrace: a token's span is below the request's own, and its waits are below
// it.
func TestTrace(t *testing.T) {
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	w := build(t, nil)
	collector := otlptest.Start(t)
	w.env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}
	w.start()
	req := w.tokenRequest(form())
	req.Header.Set("Traceparent", "00-"+id+"-"+parent+"-01")
	if resp := w.send(http.DefaultClient, req); resp.StatusCode != 200 {
		t.Fatalf("status %d: %s", resp.StatusCode, resp.body)
	}
	w.eventually(func() error {
		if collector.Span("m2m token") == nil || collector.Span("lookup") == nil {
			return errors.New("the collector has no spans")
		}
		return nil
	})
	token, lookup := collector.Span("m2m token"), collector.Span("lookup")
	if hex.EncodeToString(token.TraceId) != id || hex.EncodeToString(token.ParentSpanId) != parent {
		t.Errorf("got trace %x, parent %x, want %s, %s", token.TraceId, token.ParentSpanId, id, parent)
	}
	if string(lookup.ParentSpanId) != string(token.SpanId) {
		t.Error("the lookup isn't the token's")
	}
	if texts := otlptest.Texts(token.Attributes); texts["m2m.outcome"] != "enriched" || texts["m2m.client_id"] != client {
		t.Errorf("got the attributes %v, want enriched and %s", texts, client)
	}
}

// TestTraceOfAFetch: a fetch of the provider's keys is a span of the token that
// waits for it.
func TestTraceOfAFetch(t *testing.T) {
	w := build(t, nil)
	collector := otlptest.Start(t)
	w.env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}
	w.start()
	w.enriched(w.ask(form()))
	w.eventually(func() error {
		if collector.Span("m2m token") == nil {
			return errors.New("the collector has no spans")
		}
		return nil
	})
	collector.Forget()
	if err := w.provider.Rotate("RS256"); err != nil {
		t.Fatal(err)
	}
	w.enriched(w.ask(form()))
	w.eventually(func() error {
		token, fetch := collector.Span("m2m token"), collector.Span("GET")
		switch {
		case token == nil || fetch == nil:
			return errors.New("the collector has no spans")
		case string(fetch.ParentSpanId) != string(token.SpanId):
			return errors.New("the fetch isn't the token's")
		}
		return nil
	})
}

// TestTracesRefused: Kong's log reports an exporter that doesn't exist, and
// tokens are issued.
func TestTracesRefused(t *testing.T) {
	w := build(t, nil)
	w.env = []string{"OTEL_TRACES_EXPORTER=zipkin"}
	w.start()
	w.enriched(w.ask(form()))
	w.enriched(w.ask(form()))
	if n := strings.Count(w.gateway.Log(), `traces: OTEL_TRACES_EXPORTER is "zipkin"`); n != 1 {
		t.Errorf("the log reports it %d times, want once", n)
	}
}
