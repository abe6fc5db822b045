package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/pdk"
)

// handleEvent runs the handler of the event's phase. An event of another phase
// isn't for the plugin.
func (i *instance) handleEvent(k *pdk.Event) {
	defer endAfterPanic(k)
	e := i.event(k)
	defer e.observation.end()
	switch k.Phase {
	case "access":
		i.handle(e, i.access)
	case "response":
		i.handle(e, i.response)
	}
}

// endAfterPanic answers an event if even its report failed. Handlers recover from
// their own panics.
func endAfterPanic(k *pdk.Event) {
	if recover() != nil && !k.Exited() {
		k.Exit(500, []byte(`{"error":"server_error"}`), enrichedHeaders)
	}
}

// event returns what handlers need of an event of Kong's.
func (i *instance) event(k *pdk.Event) *event {
	issuer := ""
	if i.cfg != nil {
		issuer = i.cfg.Issuer
	}
	return &event{kong: k, failures: i.all.failures, observation: i.all.observers.observe(i.name, issuer, k.Phase)}
}

// handle runs a handler, which has the configured time. The event ends whatever
// happens: Kong would repeat it for ever if its connection just closed.
func (i *instance) handle(e *event, handler func(context.Context, *event) error) {
	defer func() {
		if v := recover(); v != nil {
			i.fail(e, panicked(v))
		}
	}()
	if i.invalid != nil {
		i.fail(e, fmt.Errorf("the configuration can't be used: %w", i.invalid))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i.cfg.Timeout)*time.Millisecond)
	defer cancel()
	i.warn(ctx, e)
	if err := handler(ctx, e); err != nil {
		i.fail(e, err)
	}
}

// response enriches the token in the upstream's answer.
func (i *instance) response(ctx context.Context, e *event) error {
	x, variables, err := e.exchange(i.questions)
	ctx = e.observation.trace(ctx, variables.Of(traceparentVariable))
	r, err := i.result(ctx, e, &x, variables, err)
	if err != nil {
		return err
	}
	if len(r.Dropped) > 0 {
		e.warn("other tokens", i.tokensWarning.next(i.all.now(), func() error { return errOtherTokens }))
	}
	logPrinted(e, r)
	answer(e, r)
	return nil
}

// result decides x or, if Kong couldn't be asked, fails with failed. The requests that
// wait for the same answer hear of it, also after a panic.
func (i *instance) result(ctx context.Context, e *event, x *enrich.Exchange, variables pdk.Values, failed error) (r enrich.Result, err error) {
	answers := i.gateway.Reuse
	if answers != nil {
		defer func() { settle(e, answers, x, variables, r, err) }()
	}
	if failed != nil {
		return r, failed
	}
	if answers != nil {
		if old, ok, err := instead(ctx, e, answers, x, variables); ok || err != nil {
			return old, err
		}
	}
	return i.decide(ctx, e, x)
}

// decide decides x, and asks Kong for its details if it needs them.
func (i *instance) decide(ctx context.Context, e *event, x *enrich.Exchange) (enrich.Result, error) {
	if !i.cfg.EnforcesAll() || x.NeedsDetails() { // where not all are enforced, access refused nothing
		if err := e.details(x); err != nil {
			return enrich.Result{}, err
		}
	}
	return i.gateway.Enrich(ctx, *x), nil
}

var errOtherTokens = errors.New("the provider answers with another token beside the M2M access token, such as an ID token; " +
	"enriched answers are sent without it; other_tokens in the configuration decides that")

// warn logs what an operator should know of the configuration and the observers.
func (i *instance) warn(ctx context.Context, e *event) {
	now, all := i.all.now(), i.all
	e.warn("signing keys", i.keysWarning.next(now, func() error { return i.gateway.Keys.Warning(ctx) }))
	e.warn("provider's keys", i.providerWarning.next(now, i.gateway.ProviderWarning))
	e.warn("reuse", i.reuseWarning.next(now, i.gateway.ReuseWarning))
	e.warn("records", i.recordsWarning.next(now, i.gateway.Records.Warning))
	e.warn("audit log", all.auditWarning.next(now, all.observers.audit.Warning))
	e.warn("traces", all.tracesWarning.next(now, all.observers.traces.Warning))
	if news := i.gateway.News(); news != "" {
		e.log(pdk.Notice, news)
	}
}

// fail ends an event that couldn't be decided. Where not everybody is enforced,
// that is logged and stops nothing.
func (i *instance) fail(e *event, err error) {
	r := enrich.Refusal(enrich.InternalError, 0, err)
	if i.cfg != nil && !i.cfg.EnforcesAll() {
		r.Action, r.Token = enrich.Pass, e.kong.Phase == "response" // the answer may have a token
	}
	answer(e, r)
}

// panicked describes a panic without its value, which could be a secret.
func panicked(v any) error {
	what := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		what = err.Error()
	}
	return fmt.Errorf("panic: %s\n%s", what, debug.Stack())
}
