package traces

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Transport returns a new transport whose requests are spans under the span of their
// context, if it has one. No request carries the trace on, which doesn't concern a
// provider. It is nil if nobody traces.
func (t *Traces) Transport() http.RoundTripper {
	if t == nil {
		return nil
	}
	return &transport{http.DefaultTransport.(*http.Transport).Clone(), t.tracer}
}

type transport struct {
	*http.Transport // whose idle connections can be closed
	tracer          trace.Tracer
}

// RoundTrip implements [http.RoundTripper]. The attributes are those of
// OpenTelemetry's semantic conventions for HTTP clients.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsValid() {
		return t.Transport.RoundTrip(r)
	}
	where := *r.URL
	where.User, where.RawQuery = nil, "" // which may be secrets
	ctx, span := t.tracer.Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", r.Method), attribute.String("url.full", where.String()),
		attribute.String("server.address", r.URL.Hostname())))
	defer span.End()
	resp, err := t.Transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		span.SetStatus(codes.Error, "no answer")
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	if resp.StatusCode != http.StatusOK {
		span.SetStatus(codes.Error, resp.Status)
	}
	return resp, nil
}
