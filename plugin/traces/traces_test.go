package traces

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"

	"m2m-token-enricher/test/otlptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID    = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + parentID + "-01"
)

// environment sets the process' variables, since the SDK reads those, and returns
// the lookup that New is given.
func environment(t *testing.T, variables map[string]string) func(string) string {
	t.Helper()
	for name, value := range variables {
		t.Setenv(name, value)
	}
	return func(name string) string { return variables[name] }
}

// traced returns traces to a collector, which are closed with the test.
func traced(t *testing.T, c *otlptest.Collector, more map[string]string) *Traces {
	t.Helper()
	variables := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL}
	for name, value := range more {
		variables[name] = value
	}
	tr := New(t.Context(), environment(t, variables), "1.2.3")
	if tr == nil || tr.provider == nil {
		t.Fatalf("no traces: %v", tr.Warning())
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = tr.Close(ctx)
	})
	return tr
}

var refused = Decision{Config: "0a1b2c3d", Outcome: "unknown_application", Action: "refuse", Client: "app-1", RequestID: "r-1", Failed: true}

// token makes the spans of one token.
func (t *Traces) token(ctx context.Context, parent string, d Decision) {
	started := time.Now()
	ctx, span := t.Token(ctx, parent, started)
	t.Step(ctx, "lookup", started, time.Now())
	span.Decided(d)
	span.End()
}

func flush(t *testing.T, tr *Traces) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := tr.provider.ForceFlush(ctx); err != nil {
		t.Fatal(err)
	}
}

// check compares what the collector received with the spans of token.
func check(t *testing.T, c *otlptest.Collector) {
	t.Helper()
	token, lookup := c.Span("m2m token"), c.Span("lookup")
	if token == nil || lookup == nil {
		t.Fatalf("spans %v and %v", token, lookup)
	}
	hex := func(b []byte) string { return trace.TraceID(append(make([]byte, 16-len(b)), b...)).String() }
	if hex(token.TraceId) != traceID || !strings.HasSuffix(hex(token.ParentSpanId), parentID) {
		t.Errorf("trace %x, parent %x", token.TraceId, token.ParentSpanId)
	}
	if string(lookup.TraceId) != string(token.TraceId) || string(lookup.ParentSpanId) != string(token.SpanId) {
		t.Error("the lookup is no child of the token")
	}
	want := map[string]string{"m2m.config": "0a1b2c3d", "m2m.outcome": "unknown_application", "m2m.action": "refuse", "m2m.client_id": "app-1", "kong.request_id": "r-1"}
	for name, value := range want {
		if got := otlptest.Texts(token.Attributes)[name]; got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if token.Status.GetCode() != otlp.Status_STATUS_CODE_ERROR || lookup.Status.GetCode() != otlp.Status_STATUS_CODE_UNSET {
		t.Errorf("status %v and %v", token.Status, lookup.Status)
	}
	if token.EndTimeUnixNano < token.StartTimeUnixNano || lookup.StartTimeUnixNano < token.StartTimeUnixNano {
		t.Error("the times are out of order")
	}
}
func TestToken(t *testing.T) {
	c := otlptest.Start(t)
	tr := traced(t, c, map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod"})
	tr.token(t.Context(), traceparent, refused)
	flush(t, tr)
	check(t, c)
	about := c.Resource()
	if about["service.name"] != "m2m-token-enricher" || about["service.version"] != "1.2.3" || about["deployment.environment.name"] != "prod" {
		t.Errorf("resource %v", about)
	}
	if c.Headers().Get("X-Tenant") != "a" {
		t.Errorf("headers %v", c.Headers())
	}
}

// TestEnriched: an enriched token isn't an error, and a step outside a token isn't a
// span.
func TestEnriched(t *testing.T) {
	c := otlptest.Start(t)
	tr := traced(t, c, nil)
	tr.token(t.Context(), "", Decision{Outcome: "enriched"})
	tr.Step(t.Context(), "alone", time.Now(), time.Now())
	flush(t, tr)
	if span := c.Span("m2m token"); span.GetStatus().GetCode() != otlp.Status_STATUS_CODE_UNSET || len(span.GetAttributes()) != 3 {
		t.Errorf("got %v", span)
	}
	if span := c.Span("alone"); span != nil {
		t.Errorf("got %v", span)
	}
}

func TestOverGRPC(t *testing.T) {
	c := otlptest.StartGRPC(t)
	tr := traced(t, c, map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
	tr.token(t.Context(), traceparent, refused)
	flush(t, tr)
	check(t, c)
}

// TestParents: what isn't a traceparent starts a trace, and one that isn't sampled is
// respected.
func TestParents(t *testing.T) {
	for name, tt := range map[string]struct {
		parent string
		sent   bool
	}{
		"none":          {"", true},
		"two lines":     {traceparent + ", " + traceparent, true},
		"not sampled":   {strings.TrimSuffix(traceparent, "1") + "0", false},
		"hostile":       {strings.Repeat("\xff", 1<<16), true},
		"trace of zero": {"00-" + strings.Repeat("0", 32) + "-" + parentID + "-01", true},
	} {
		c := otlptest.Start(t)
		tr := traced(t, c, nil)
		tr.token(t.Context(), tt.parent, refused)
		flush(t, tr)
		span := c.Span("m2m token")
		if (span != nil) != tt.sent || len(span.GetParentSpanId()) != 0 {
			t.Errorf("%s: %v", name, span)
		}
	}
}

// TestSampler: the specification's variables decide.
func TestSampler(t *testing.T) {
	c := otlptest.Start(t)
	tr := traced(t, c, map[string]string{"OTEL_TRACES_SAMPLER": "always_off"})
	tr.token(t.Context(), traceparent, refused)
	flush(t, tr)
	if span := c.Span("m2m token"); span != nil {
		t.Errorf("sent %v", span)
	}
}

func TestAsked(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, tt := range map[string]struct {
		variables map[string]string
		protocol  string
		fails     bool
	}{
		"nothing":            {nil, "", false},
		"endpoint":           {map[string]string{endpoint: "http://c:4318"}, overHTTP, false},
		"endpoint of its":    {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/x"}, overHTTP, false},
		"exporter":           {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, overHTTP, false},
		"none":               {map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, "", false},
		"disabled":           {map[string]string{endpoint: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, "", false},
		"another exporter":   {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, "", true},
		"grpc":               {map[string]string{endpoint: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, overGRPC, false},
		"grpc for traces":    {map[string]string{endpoint: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": overHTTP, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, overGRPC, false},
		"protocol of nobody": {map[string]string{endpoint: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "", true},
	} {
		protocol, err := asked(func(name string) string { return tt.variables[name] })
		if protocol != tt.protocol || (err != nil) != tt.fails {
			t.Errorf("%s: %q, %v", name, protocol, err)
		}
	}
}

// TestTransport: a fetch is a span under the one that asked for it. It doesn't pass
// the trace on, and shows no secret of the URL.
func TestTransport(t *testing.T) {
	c := otlptest.Start(t)
	tr := traced(t, c, nil)
	var headers http.Header
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers = r.Header
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer provider.Close()
	client := &http.Client{Transport: tr.Transport()}
	defer client.CloseIdleConnections()
	ctx, span := tr.Token(t.Context(), traceparent, time.Now())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(provider.URL, "http://", "http://user:secret@", 1)+"/jwks?key=secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	span.End()
	flush(t, tr)
	fetch, token := c.Span("GET"), c.Span("m2m token")
	if fetch == nil || string(fetch.ParentSpanId) != string(token.SpanId) || fetch.Status.GetCode() != otlp.Status_STATUS_CODE_ERROR {
		t.Fatalf("fetch %v", fetch)
	}
	if got := otlptest.Texts(fetch.Attributes)["url.full"]; got != provider.URL+"/jwks" {
		t.Errorf("url.full is %q", got)
	}
	if headers.Get("Traceparent") != "" {
		t.Error("the provider got the traceparent")
	}
}

// TestCollectorFails: each failure is a warning with how many spans were lost.
func TestCollectorFails(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *otlptest.Collector{overHTTP: otlptest.Start, overGRPC: otlptest.StartGRPC} {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			c.Refuse()
			tr := traced(t, c, map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": name})
			for _, want := range []string{"2 spans", "4 spans"} {
				if warning := tr.Warning(); warning != nil {
					t.Errorf("Warning = %v, want none: nothing was lost since", warning)
				}
				tr.token(t.Context(), traceparent, refused)
				flush(t, tr)
				if warning := tr.Warning(); warning == nil || !strings.Contains(warning.Error(), want) {
					t.Errorf("Warning = %v, want one of %s", warning, want)
				}
			}
			tr.token(t.Context(), traceparent, refused)
			if err := tr.Close(t.Context()); err == nil {
				t.Error("Close = nil, want an error about the spans lost at the end")
			}
		})
	}
}

// TestRefused: what can't be exported at all is reported once, and does no harm.
func TestRefused(t *testing.T) {
	tr := New(t.Context(), environment(t, map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}), "")
	tr.token(t.Context(), traceparent, refused)
	if warning := tr.Warning(); warning == nil || !strings.Contains(warning.Error(), `"zipkin"`) {
		t.Errorf("warning %v", warning)
	}
	if warning := tr.Warning(); warning != nil || tr.Close(t.Context()) != nil {
		t.Errorf("Warning = %v, want none the second time", warning)
	}
	if tr := New(t.Context(), environment(t, nil), ""); tr != nil {
		t.Error("New without variables isn't nil")
	}
}

// TestBadVariables: a variable that can't be read is reported without the text of a
// header, and traces work as far as they can.
func TestBadVariables(t *testing.T) {
	for name, tt := range map[string]struct {
		variable, value, says string
	}{
		"sampler":     {"OTEL_TRACES_SAMPLER", "jaeger_remote", "sampler"},
		"attributes":  {"OTEL_RESOURCE_ATTRIBUTES", "team", "partial resource"},
		"certificate": {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent/ca.pem", "no such file"},
		"endpoint":    {"OTEL_EXPORTER_OTLP_ENDPOINT", "10.0.0.1:4318", "first path segment"},
		"header":      {"OTEL_EXPORTER_OTLP_HEADERS", "api-key: s3cret", "missing '="},
	} {
		t.Run(name, func(t *testing.T) {
			tr := traced(t, otlptest.Start(t), map[string]string{tt.variable: tt.value})
			warning := tr.Warning()
			if warning == nil || !strings.Contains(warning.Error(), tt.says) || strings.Contains(warning.Error(), "s3cret") {
				t.Errorf("warning %v", warning)
			}
		})
	}
}

// TestNoTraces: nil traces cost nothing and do nothing.
func TestNoTraces(t *testing.T) {
	var tr *Traces
	ctx := t.Context()
	started := time.Now()
	cost := testing.AllocsPerRun(100, func() {
		same, span := tr.Token(ctx, traceparent, started)
		tr.Step(same, "lookup", started, started)
		span.Decided(Decision{})
		span.End()
		if same != ctx || tr.Transport() != nil || tr.Warning() != nil || tr.Close(ctx) != nil {
			t.Error("it does something")
		}
	})
	if cost != 0 {
		t.Errorf("%v allocations", cost)
	}
}

// TestUndecided: a request that goes on to the provider leaves a span only for what
// happened before that.
func TestUndecided(t *testing.T) {
	c := otlptest.Start(t)
	tr := traced(t, c, nil)
	_, none := tr.Token(t.Context(), traceparent, time.Now())
	none.Undecided()
	ctx, checked := tr.Token(t.Context(), traceparent, time.Now())
	tr.Step(ctx, "lookup", time.Now(), time.Now())
	checked.Undecided()
	flush(t, tr)
	spans := c.Spans()
	if len(spans) != 2 || spans[0].Name != "lookup" || spans[1].Name != "m2m reuse" || !bytes.Equal(spans[0].ParentSpanId, spans[1].SpanId) {
		t.Errorf("got the spans %v, want m2m reuse with a lookup", spans)
	}
	var nobody *Span
	nobody.Undecided()
}
