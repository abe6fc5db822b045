package traces

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

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
