package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/Kong/go-pdk"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// Instance is one plugin instance: a configuration that Kong delivered. Kong
// makes one for each worker, and all anew at each rebuild of its
// configuration. Handlers run in parallel.
type Instance struct {
	runtimes *runtimes
	cfg      *schema.Config
	mistakes error // why the configuration can't be used
}

// UnmarshalJSON starts the instance. It doesn't fail on a mistake in the
// configuration: Kong would answer each request with a 500 and the operator
// would never learn why. The events say it instead.
func (i *Instance) UnmarshalJSON(data []byte) error {
	defer func() {
		if v := recover(); v != nil {
			i.mistakes = panicked(v)
		}
	}()
	if i.cfg, i.mistakes = validated(schema.Delivered(data)); i.mistakes == nil {
		_, i.mistakes = i.runtimes.get(i.cfg)
	}
	return nil
}

// validated adds the mistakes in a decoded configuration that only the core
// can see.
func validated(cfg *schema.Config, err error) (*schema.Config, error) {
	if cfg == nil {
		return nil, err
	}
	return cfg, errors.Join(err, enrich.Validate(cfg))
}

// Access publishes the gateway's keys and metadata, and keeps away what would
// get around the response phase.
func (i *Instance) Access(p *pdk.PDK) {
	i.handle(kong{p}, func(ctx context.Context, k kong, r *runningConfig) error {
		request, err := k.accessRequest()
		if err != nil {
			return err
		}
		read := request.method == http.MethodGet || request.method == http.MethodHead
		switch {
		case read && request.path == i.cfg.Signing.JWKSPath:
			publishKeys(ctx, k, r)
		case read && slices.Contains(r.issuer.paths, request.path):
			publishMetadata(ctx, k, r)
		case i.cfg.Mode == schema.ModeObserve:
		default:
			refuseAccess(k, request)
		}
		return nil
	})
}

// refuseAccess refuses what no token endpoint knows, and what would get around
// the response phase: Kong doesn't buffer what may become a websocket.
func refuseAccess(k kong, request accessRequest) {
	switch upgrade := strings.ToLower(strings.TrimSpace(request.upgrade)); {
	case upgrade != "" && upgrade != "h2c":
		answer(k, enrich.Refusal(enrich.BadRequest, 0, errors.New("the request asks for an upgrade")))
	case request.method != http.MethodPost && request.method != http.MethodOptions:
		answer(k, enrich.Refusal(enrich.BadRequest, http.StatusMethodNotAllowed, errors.New("the method is not POST")))
	}
}

// Response enriches the token in the upstream's answer.
func (i *Instance) Response(p *pdk.PDK) {
	i.handle(kong{p}, func(ctx context.Context, k kong, r *runningConfig) error {
		x, err := k.exchange()
		if err != nil {
			return err
		}
		answer(k, r.enricher.Enrich(ctx, x))
		return nil
	})
}

// handle runs a handler, which has the configured time, and ends the event
// whatever happens: Kong would repeat for ever an event whose connection just
// closes.
func (i *Instance) handle(k kong, handler func(context.Context, kong, *runningConfig) error) {
	defer func() {
		if v := recover(); v != nil {
			i.fail(k, panicked(v))
		}
	}()
	if i.mistakes != nil {
		i.fail(k, fmt.Errorf("the configuration can't be used: %w", i.mistakes))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i.cfg.Timeout)*time.Millisecond)
	defer cancel()
	r, err := i.runtimes.get(i.cfg)
	if err == nil {
		if warning := r.keys.Warning(ctx); warning != nil {
			k.warn(fmt.Sprintf("signing keys: %v", warning))
		}
		if warning := r.records.Warning(); warning != nil {
			k.warn(fmt.Sprintf("records: %v", warning))
		}
		err = handler(ctx, k, r)
	}
	if err != nil {
		i.fail(k, err)
	}
}

// fail ends an event that couldn't be decided. In observe mode that is told of
// as well, but stops nothing.
func (i *Instance) fail(k kong, err error) {
	r := enrich.Refusal(enrich.InternalError, 0, err)
	if i.cfg != nil && i.cfg.Mode == schema.ModeObserve {
		r.Action = enrich.Pass
	}
	answer(k, r)
}

// panicked describes a panic without its value, which could hold anything.
func panicked(v any) error {
	what := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		what = err.Error()
	}
	return fmt.Errorf("panic: %s\n%s", what, debug.Stack())
}
