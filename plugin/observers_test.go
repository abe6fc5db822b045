package plugin

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"m2m-token-enricher/plugin/audit"
	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/traces"
	"m2m-token-enricher/test/otlptest"
)

// TestAuditOnlyWhatLeaves: a token that was enriched, but stayed in, isn't
// issued.
func TestAuditOnlyWhatLeaves(t *testing.T) {
	i := start(t, goodConfig)
	path := filepath.Join(t.TempDir(), "audit.log")
	log := audit.Open(path, 1<<20, 1)
	o := &observation{observers: observers{audit: log}, instance: i}
	o.answered(enrich.Result{Outcome: enrich.Enriched, Action: enrich.Pass, ClientID: "observed"}, "")
	o.answered(enrich.Result{Outcome: enrich.UnknownApplication, Action: enrich.Refuse, ClientID: "refused"}, "")
	o.answered(enrich.Result{Outcome: enrich.ManagementAudience, Action: enrich.Pass, ClientID: "passed"}, "")
	o.answered(enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, ClientID: "issued"}, "")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || bytes.Count(text, []byte("\n")) != 1 || !bytes.Contains(text, []byte(`"client":"issued","claims":[],`)) {
		t.Errorf("the audit log has %s, %v", text, err)
	}
}

// TestNobodyWatches: then no step is measured.
func TestNobodyWatches(t *testing.T) {
	i := start(t, goodConfig)
	if i.observe("response") != nil || i.all.observers.step() != nil {
		t.Error("an observer is told")
	}
}

// TestTraceparent: what a trace needs of the request comes with the rest, and
// isn't asked for when nobody traces.
func TestTraceparent(t *testing.T) {
	const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	collector := otlptest.Start(t)
	tr := traces.New(t.Context(), func(name string) string {
		return map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}[name]
	}, "")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = tr.Close(ctx)
	})
	for _, traced := range []bool{false, true} {
		k := &kongSide{replies: map[string]proto.Message{"kong.nginx.get_var": &kong_plugin_protocol.ByteString{V: []byte(traceparent)}}}
		k.handle(t, func(p *kong) {
			if traced {
				p.observation = &observation{observers: observers{traces: tr}}
			}
			if _, err := p.exchange(); err != nil {
				t.Error(err)
			}
			if traced && string(p.observation.traceparent) != traceparent {
				t.Errorf("traceparent %q", p.observation.traceparent)
			}
		})
		if slices.Contains(k.calls, "kong.nginx.get_var") != traced || k.writes != 1 {
			t.Errorf("traced %t: %v in %d writes", traced, k.calls, k.writes)
		}
	}
}
