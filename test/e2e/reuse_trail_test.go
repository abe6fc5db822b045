package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/otlptest"
)

// TestReuseTrail: metrics, traces, the audit log and Kong's log show which tokens were
// handed out again, and why.
func TestReuseTrail(t *testing.T) {
	w := build(t, func(c map[string]any) {
		c["reuse"] = map[string]any{"enabled": true, "max_age": 1, "if_provider_fails": true}
		c["timeout"] = 10_000 // for a busy machine
	})
	collector, address, audit := otlptest.Start(t), loopback(t), filepath.Join(openDir(t), "audit.log")
	w.flags = []string{"-metrics", address, "-audit", audit}
	w.env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}
	w.start()
	w.eventually(func() error {
		w.enriched(w.ask(form()))
		w.enriched(w.ask(form()))
		return reusedSpan(collector, "reused")
	})
	w.provider.Misbehave(idptest.Fault{Answer: func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) }})
	w.eventually(func() error {
		w.enriched(w.ask(form()))
		return reusedSpan(collector, "reused_in_outage")
	})
	line := regexp.MustCompile(`outcome=reused_in_outage client="` + client + `" request="[0-9a-f]{32}" cause="the provider answered 503" hint="`)
	if log := w.gateway.Log(); !line.MatchString(log) || strings.Contains(log, "outcome=reused ") {
		t.Errorf("want a line %s, and none about other reused tokens, in the log\n%s", line, log)
	}
	_, text := w.scrape(address, "/metrics")
	for _, want := range []string{`m2m_provider_calls_total{call="made",config="\w+"} [1-9]`, `m2m_provider_calls_total{call="saved",config="\w+"} [1-9]`,
		`m2m_reuse_entries{config="\w+"} 1`, `outcome="reused"} [1-9]`, `outcome="reused_in_outage"} [1-9]`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("not in the scrape: %s", want)
		}
	}
	w.eventually(func() error { return w.trailIn(audit) })
}

// reusedSpan returns an error unless the collector has the span of a token with outcome.
// That has the lookups of records, and neither a verification nor a signature.
func reusedSpan(c *otlptest.Collector, outcome string) error {
	spans := c.Spans()
	at := slices.IndexFunc(spans, func(s *otlp.Span) bool { return otlptest.Texts(s.Attributes)["m2m.outcome"] == outcome })
	if at < 0 {
		return fmt.Errorf("the collector has no span with the outcome %s", outcome)
	}
	token := spans[at]
	if got := otlptest.Texts(token.Attributes); token.Name != "m2m token" || got["m2m.client_id"] != client || got["m2m.action"] != "replace" {
		return fmt.Errorf("got the span %s with %v, want that of the token for %s", token.Name, got, client)
	}
	var steps []string
	for _, s := range spans {
		if bytes.Equal(s.ParentSpanId, token.SpanId) {
			steps = append(steps, s.Name)
		}
	}
	if !slices.Equal(steps, []string{"lookup"}) {
		return fmt.Errorf("got the steps %v of a token with the outcome %s, want lookup", steps, outcome)
	}
	return nil
}

// trailIn returns an error unless the audit log's lines are about issued tokens, and
// then about the same tokens again.
func (w *world) trailIn(audit string) error {
	w.Helper()
	text, err := os.ReadFile(audit)
	if err != nil {
		return err
	}
	seen, again := map[string]string{}, 0
	for line := range bytes.Lines(text) {
		var entry struct {
			JTI    string
			Reused bool
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			return err
		}
		_, about, _ := strings.Cut(strings.Replace(string(line), `,"reused":true`, "", 1), `"jti":`)
		if first, ok := seen[entry.JTI]; ok != entry.Reused || ok && about != first {
			w.Errorf("got the line %s after the lines %v", line, seen)
		}
		seen[entry.JTI] = about
		if entry.Reused {
			again++
		}
	}
	if again < 2 {
		return fmt.Errorf("the audit log has %d lines about reused tokens, want 2 or more", again)
	}
	return nil
}
