// Package traces exports a span for each token, under the trace of the request
// that Kong hands over, by OpenTelemetry's protocol (OTLP).
package traces

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Traces exports spans. They wait in a bounded queue, and what doesn't fit is
// dropped: no token waits for a collector. Safe for concurrent use. A nil *Traces
// does nothing.
type Traces struct {
	provider *sdk.TracerProvider // nil if nothing can be exported
	tracer   trace.Tracer

	mu      sync.Mutex
	failure error // the latest since the last Warning
}

// New returns traces if the environment asks for them, and nil if it doesn't. The
// variables are those of OpenTelemetry's specification; the SDK itself reads those
// of the sampler, the queue and the exporter. [Traces.Warning] reports what can't be
// used. version is the plugin's.
func New(ctx context.Context, env func(string) string, version string) *Traces {
	protocol, err := asked(env)
	if protocol == "" && err == nil {
		return nil
	}
	t := &Traces{tracer: noop.Tracer{}}
	t.listen()
	if err == nil {
		err = t.export(ctx, protocol, version)
	}
	if err != nil {
		t.complain(err)
	}
	return t
}

// export starts the export of spans.
func (t *Traces) export(ctx context.Context, protocol, version string) error {
	exporter, err := newExporter(ctx, protocol)
	if err != nil {
		return fmt.Errorf("make the OTLP exporter: %w", err)
	}
	about, err := describe(ctx, version)
	if err != nil { // about has what could be read
		t.complain(fmt.Errorf("read the resource's attributes: %w", err))
	}
	t.provider = sdk.NewTracerProvider(sdk.WithBatcher(&counted{SpanExporter: exporter, traces: t}), sdk.WithResource(about))
	t.tracer = t.provider.Tracer("m2m-token-enricher", trace.WithInstrumentationVersion(version))
	return nil
}

// Warning returns why spans were lost, or what is wrong with the environment's
// variables, if that happened since the last Warning; otherwise nil.
func (t *Traces) Warning() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	warning := t.failure
	t.failure = nil
	return warning
}

// Close sends what waits, until ctx ends. The error includes that of spans lost since
// the last Warning.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	var err error
	if t.provider != nil {
		err = t.provider.Shutdown(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(err, t.failure)
}

// Span is that of a token. A nil *Span does nothing. Not for concurrent use.
type Span struct{ span trace.Span }

var w3c propagation.TraceContext

// Token starts the span of a token at started, as a child of what traceparent names
// (W3C Trace Context, section 3.2), or of nothing if it isn't one. The context is
// for what happens within the span.
func (t *Traces) Token(ctx context.Context, traceparent string, started time.Time) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	ctx = w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
	ctx, span := t.tracer.Start(ctx, "m2m token", trace.WithTimestamp(started))
	return ctx, &Span{span}
}

// Decision is the result for a token.
type Decision struct {
	Config, Outcome, Action string
	Client                  string // "" before the token is verified
	RequestID               string // Kong's, "" if nobody needed it
	Failed                  bool
}

// Decided puts a decision into the span.
func (s *Span) Decided(d Decision) {
	if s == nil || !s.span.IsRecording() {
		return
	}
	s.span.SetAttributes(attribute.String("m2m.config", d.Config), attribute.String("m2m.outcome", d.Outcome), attribute.String("m2m.action", d.Action))
	if d.Client != "" {
		s.span.SetAttributes(attribute.String("m2m.client_id", d.Client))
	}
	if d.RequestID != "" {
		s.span.SetAttributes(attribute.String("kong.request_id", d.RequestID))
	}
	if d.Failed {
		s.span.SetStatus(codes.Error, d.Outcome)
	}
}

// Undecided ends the span of a request that goes on to the provider, whose answer has a
// span of its own. A span in which nothing happened is dropped.
func (s *Span) Undecided() {
	if s == nil {
		return
	}
	if recorded, ok := s.span.(sdk.ReadOnlySpan); ok && recorded.ChildSpanCount() > 0 {
		s.span.SetName("m2m reuse")
		s.span.End()
	}
}

// End ends the span.
func (s *Span) End() {
	if s != nil {
		s.span.End()
	}
}

// Step adds a child to ctx's span, for a step that ran from started to ended.
func (t *Traces) Step(ctx context.Context, step string, started, ended time.Time) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, span := t.tracer.Start(ctx, step, trace.WithTimestamp(started))
	span.End(trace.WithTimestamp(ended))
}
