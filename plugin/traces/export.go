package traces

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// The protocols that OTEL_EXPORTER_OTLP_PROTOCOL may name.
const (
	overHTTP = "http/protobuf" // the specification's default
	overGRPC = "grpc"
)

// asked returns the protocol by which the environment wants traces exported, "" if it
// doesn't want any, which is the default.
func asked(env func(string) string) (protocol string, err error) {
	exporter := env("OTEL_TRACES_EXPORTER")
	endpoint := cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), env("OTEL_EXPORTER_OTLP_ENDPOINT"))
	switch {
	case strings.EqualFold(env("OTEL_SDK_DISABLED"), "true"), exporter == "none", exporter == "" && endpoint == "":
		return "", nil
	case exporter != "" && exporter != "otlp":
		return "", fmt.Errorf("OTEL_TRACES_EXPORTER is %q: it can be otlp or none", exporter)
	}
	protocol = cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), env("OTEL_EXPORTER_OTLP_PROTOCOL"), overHTTP)
	if protocol != overHTTP && protocol != overGRPC {
		return "", fmt.Errorf("the OTLP protocol is %q: it can be %s or %s", protocol, overHTTP, overGRPC)
	}
	return protocol, nil
}

// newExporter returns an exporter that connects when there is something to send.
func newExporter(ctx context.Context, protocol string) (*otlptrace.Exporter, error) {
	if protocol == overGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// describe returns the resource that exports. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES override it.
func describe(ctx context.Context, version string) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "m2m-token-enricher"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
}

// listen receives the complaints of OpenTelemetry's packages, such as a variable that
// they can't read or an unknown sampler. Each uses one of two ways, and by default
// writes where Kong hides it. Both are global to the process.
func (t *Traces) listen() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(t.complain))
	otel.SetLogger(logr.New(sink{t}))
}

func (t *Traces) complain(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failure = err
}

// sink keeps a complaint's error without the values beside it: those of a header that
// can't be read would show its secret.
type sink struct{ traces *Traces }

// Init implements [logr.LogSink], as do the other methods.
func (sink) Init(logr.RuntimeInfo)            {}
func (sink) Enabled(int) bool                 { return false }
func (sink) Info(int, string, ...any)         {}
func (s sink) WithValues(...any) logr.LogSink { return s }
func (s sink) WithName(string) logr.LogSink   { return s }
func (s sink) Error(err error, what string, _ ...any) {
	s.traces.complain(fmt.Errorf("%s: %w", what, err))
}

// counted is an exporter that counts and reports what it can't send.
type counted struct {
	sdk.SpanExporter
	traces *Traces
	lost   int // spans
}

// ExportSpans implements [sdk.SpanExporter].
func (c *counted) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := c.SpanExporter.ExportSpans(ctx, spans); err != nil {
		c.lost += len(spans)
		c.traces.complain(fmt.Errorf("batches of %d spans were rejected, at least in part, since the plugin started: %w", c.lost, err))
	}
	return nil
}
