package plugin

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/pdk"
)

// phase runs the handler of the event's phase; those that the plugin doesn't have
// are not for it.
func (i *instance) phase(k *pdk.Event) {
	defer endAfterPanic(k)
	e := i.event(k)
	defer e.observation.end()
	switch k.Phase {
	case "access":
		i.access(e)
	case "response":
		i.response(e)
	}
}

// event returns what handlers need of an event of Kong's.
func (i *instance) event(k *pdk.Event) *event {
	issuer := ""
	if i.cfg != nil {
		issuer = i.cfg.Issuer
	}
	return &event{kong: k, lines: i.all.lines, observation: i.all.observers.observe(i.name(), issuer, k.Phase)}
}

// endAfterPanic answers an event whose handler panicked. Handlers recover from
// their own panics; what they can't even report is answered without them.
func endAfterPanic(k *pdk.Event) {
	if recover() != nil && !k.Exited() {
		k.Exit(500, []byte(`{"error":"server_error"}`), changed)
	}
}

// response enriches the token in the upstream's answer.
func (i *instance) response(e *event) {
	i.handle(e, func(ctx context.Context, e *event, g *gateway.Gateway) error {
		x, traceparent, err := e.exchange()
		ctx = e.observation.trace(ctx, traceparent)
		if err == nil && (!i.cfg.EnforcesAll() || x.NeedsDetails()) { // where not all are enforced, access refused nothing
			err = e.details(&x)
		}
		if err != nil {
			return err
		}
		answer(e, g.Enrich(ctx, x))
		return nil
	})
}

// handle runs a handler, which has the configured time, and ends the event
// whatever happens: Kong would repeat for ever an event whose connection just
// closes.
func (i *instance) handle(e *event, handler func(context.Context, *event, *gateway.Gateway) error) {
	defer func() {
		if v := recover(); v != nil {
			i.fail(e, panicked(v))
		}
	}()
	if i.mistakes != nil {
		i.fail(e, fmt.Errorf("the configuration can't be used: %w", i.mistakes))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i.cfg.Timeout)*time.Millisecond)
	defer cancel()
	i.warn(ctx, e)
	if err := handler(ctx, e, i.running); err != nil {
		i.fail(e, err)
	}
}

// warn logs what an operator should know of the configuration and the observers.
func (i *instance) warn(ctx context.Context, e *event) {
	now, all := i.all.now(), i.all
	e.warn("signing keys", i.keysWarning.next(now, func() error { return i.running.Keys.Warning(ctx) }))
	e.warn("records", i.recordsWarning.next(now, i.running.Records.Warning))
	e.warn("audit log", all.auditWarning.next(now, all.observers.audit.Warning))
	e.warn("traces", all.tracesWarning.next(now, all.observers.traces.Warning))
	if news := i.running.News(); news != "" {
		e.log(pdk.Notice, news)
	}
}

// fail ends an event that couldn't be decided. Where not everybody is enforced
// that is logged as well, but stops nothing.
func (i *instance) fail(e *event, err error) {
	r := enrich.Refusal(enrich.InternalError, 0, err)
	if i.cfg != nil && !i.cfg.EnforcesAll() {
		r.Action, r.Token = enrich.Pass, e.kong.Phase == "response" // nobody knows that it has none
	}
	answer(e, r)
}

// panicked describes a panic without its value, which could hold anything.
func panicked(v any) error {
	what := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		what = err.Error()
	}
	return fmt.Errorf("panic: %s\n%s", what, debug.Stack())
}
