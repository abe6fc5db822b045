package plugin

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/audit"
	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/plugin/traces"
	"m2m-token-enricher/test/otlptest"
	"m2m-token-enricher/test/pdktest"
)

// TestAuditOnlyWhatLeaves: a token that was enriched, but stayed in, isn't
// issued. One that leaves again is marked.
func TestAuditOnlyWhatLeaves(t *testing.T) {
	i := start(t, goodConfig)
	path := filepath.Join(t.TempDir(), "audit.log")
	log := audit.Open(path, 1<<20)
	i.all.observers.audit = log
	o := i.all.observers.observe(i.name, i.cfg.Issuer, "response")
	o.answered(enrich.Result{Outcome: enrich.Enriched, Action: enrich.Pass, ClientID: "observed"}, "")
	o.answered(enrich.Result{Outcome: enrich.UnknownApplication, Action: enrich.Refuse, ClientID: "refused"}, "")
	o.answered(enrich.Result{Outcome: enrich.ManagementAudience, Action: enrich.Pass, ClientID: "passed"}, "")
	o.answered(enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, ClientID: "issued"}, "")
	o.answered(enrich.Result{Outcome: enrich.Reused, Action: enrich.Replace, ClientID: "again"}, "")
	o.answered(enrich.Result{Outcome: enrich.ReusedInOutage, Action: enrich.Replace, ClientID: "in an outage"}, "")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range bytes.Lines(text) {
		_, about, _ := strings.Cut(string(line), `"client":`)
		got = append(got, `"client":`+about)
	}
	want := []string{
		`"client":"issued","claims":[],"kid":""}` + "\n",
		`"client":"again","claims":[],"kid":"","reused":true}` + "\n",
		`"client":"in an outage","claims":[],"kid":"","reused":true}` + "\n",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got the lines %q, want %q", got, want)
	}
}

// TestNobodyWatches: then no step is measured.
func TestNobodyWatches(t *testing.T) {
	i := start(t, goodConfig)
	if i.event(&pdk.Event{Phase: "response"}).observation != (observation{}) || i.all.observers.step() != nil {
		t.Error("there is an observation without an observer")
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
		k := &pdktest.Kong{Replies: pdktest.Replies{"kong.nginx.get_var": pdktest.Text(traceparent)}}
		handle(t, k, "response", func(p *pdk.Event) {
			e := &event{kong: p}
			if traced {
				e.observation.traces = tr
			}
			if _, given, err := e.exchange(newQuestions(traced, false)); err != nil || string(given.Of(traceparentVariable)) != traceparent && traced {
				t.Errorf("traceparent %q, %v", given.Of(traceparentVariable), err)
			}
		})
		if slices.Contains(k.Calls, "kong.nginx.get_var") != traced || k.Writes != 2 {
			t.Errorf("traced %t: %v in %d writes", traced, k.Calls, k.Writes)
		}
	}
}

// TestClientIP: Kong is asked for the client's IP in the same round trip, and only if
// something reads it.
func TestClientIP(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		k := &pdktest.Kong{Replies: pdktest.Replies{"kong.nginx.get_var": pdktest.Text("203.0.113.7")}}
		handle(t, k, "response", func(p *pdk.Event) {
			e := &event{kong: p}
			if x, _, err := e.exchange(newQuestions(false, wanted)); err != nil || (x.IP == "203.0.113.7") != wanted {
				t.Errorf("wanted %t: the IP is %q, %v", wanted, x.IP, err)
			}
		})
		if slices.Contains(k.Calls, "kong.nginx.get_var") != wanted || k.Writes != 2 {
			t.Errorf("wanted %t: %v in %d writes", wanted, k.Calls, k.Writes)
		}
	}
}
