package plugin

import (
	"context"
	"time"

	"m2m-token-enricher/plugin/audit"
	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/metrics"
	"m2m-token-enricher/plugin/traces"
)

// observers watch the events. Each is nil unless the operator asked for it, and then
// costs nothing.
type observers struct {
	metrics *metrics.Metrics
	traces  *traces.Traces
	audit   *audit.Log
}

func (o observers) none() bool { return o == observers{} }

// step returns [gateway.Options.Step], nil if nobody measures steps.
func (o observers) step() func(context.Context, gateway.Step) {
	if o.metrics == nil && o.traces == nil {
		return nil
	}
	return func(ctx context.Context, s gateway.Step) {
		o.metrics.Step(s.Name, s.Ended.Sub(s.Started))
		o.traces.Step(ctx, s.Name, s.Started, s.Ended)
	}
}

// observation is what observers see of one event. Without observers it is zero.
type observation struct {
	observers
	config  string // its name
	issuer  string // the provider's
	phase   string
	started time.Time

	span *traces.Span
}

// observe starts the observation of a configuration's event.
func (o observers) observe(config, issuer, phase string) observation {
	if o.none() {
		return observation{}
	}
	return observation{observers: o, config: config, issuer: issuer, phase: phase, started: time.Now()}
}

// traced reports whether the event is traced. Then the request's traceparent is
// needed.
func (o *observation) traced() bool { return o.traces != nil }

// trace starts the span of a token, as a child of what the request's traceparent
// names. The span is the parent of what uses the context.
func (o *observation) trace(ctx context.Context, traceparent []byte) context.Context {
	if o.traced() {
		ctx, o.span = o.traces.Token(ctx, string(traceparent), o.started)
	}
	return ctx
}

// answered reports the decision. requestID is Kong's, "" if nobody needed it.
func (o *observation) answered(r enrich.Result, requestID string) {
	if o.none() {
		return
	}
	o.metrics.Outcome(o.config, string(r.Outcome), r.Action.String(), requestID)
	o.span.Decided(traces.Decision{
		Config: o.config, Outcome: string(r.Outcome), Action: r.Action.String(), Client: r.ClientID, RequestID: requestID, Failed: r.Failed(),
	})
	if o.audit != nil && r.Action == enrich.Replace {
		o.audit.Issued(entry(o.issuer, r))
	}
}

func entry(issuer string, r enrich.Result) audit.Entry {
	issued := r.Issued()
	return audit.Entry{
		Time: time.Now().UTC(), TokenID: issued.TokenID, Issuer: issuer, Client: r.ClientID,
		Organization: issued.Organization, Claims: issued.Claims, KeyID: issued.KeyID,
		Reused: r.Outcome == enrich.Reused || r.Outcome == enrich.ReusedInOutage,
	}
}

// undecided reports that the request goes on to the provider. The response phase starts
// the span of its token.
func (o *observation) undecided() {
	o.span.Undecided()
	o.span = nil
}

// end reports that the event has ended.
func (o *observation) end() {
	if o.none() {
		return
	}
	o.metrics.Handler(o.phase, time.Since(o.started))
	o.span.End()
}
