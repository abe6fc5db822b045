package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/schema"
)

// instance is a configuration that Kong delivered. Kong starts it for each
// worker, and anew at each rebuild of its configuration. Handlers run in
// parallel.
type instance struct {
	id       int32             // of the known ones; see [instances.newID]
	identity [sha256.Size]byte // of the configuration, its secrets included
	label    string            // see name
	cfg      *schema.Config
	mistakes error            // why the configuration can't be used
	running  *gateway.Gateway // nil if it can't
	all      *instances

	started, used time.Time    // guarded by all.mu
	placed        bool         // in all.heirs, now or before, or too late for it; guarded by all.mu
	busy          atomic.Int32 // events that run
}

// newInstance returns the instance with the configuration that Kong delivers,
// not running yet. It doesn't fail on a mistake in it: Kong would answer each
// request with a 500 and the operator would never learn why. The events say it
// instead.
func newInstance(all *instances, config []byte) *instance {
	i := &instance{all: all, identity: sha256.Sum256(config), label: "invalid"}
	i.safely(func() error {
		var err error
		i.cfg, err = gateway.Validated(schema.Delivered(config))
		return err
	})
	if i.mistakes == nil {
		i.identity = i.cfg.Identity // without what Kong puts beside the configuration
		i.label = hex.EncodeToString(i.cfg.Fingerprint[:4])
	}
	return i
}

// run makes the instance serve.
func (i *instance) run() {
	if i.mistakes != nil {
		return
	}
	i.safely(func() error {
		var err error
		if i.running, err = i.all.open(i.cfg, i.all.options(i.cfg)); err != nil {
			return fmt.Errorf("open the configuration: %w", err)
		}
		go i.running.Warm()
		return nil
	})
}

// safely keeps what f reports, and a panic of it, as the instance's mistakes.
func (i *instance) safely(f func() error) {
	defer func() {
		if v := recover(); v != nil {
			i.mistakes = panicked(v)
		}
	}()
	i.mistakes = f()
}

// notReady tells whether the instance can't enrich.
func (i *instance) notReady() bool { return i.running == nil || i.running.NotReady() != nil }

func (i *instance) close() {
	if i.running != nil {
		_ = i.running.Close() // nothing can be done about it, and nothing depends on it
	}
}

// name is short, and the same in every process. It is shown, and so covers no
// secret: instances whose configurations differ in secrets alone have one name,
// and so have those that can't be used, in which a secret may be anywhere.
func (i *instance) name() string { return i.label }

func (i *instance) status() *kong_plugin_protocol.InstanceStatus {
	return &kong_plugin_protocol.InstanceStatus{Name: Name, InstanceId: i.id, StartedAt: i.started.Unix()}
}

// phase runs the handler of a phase; those that the plugin doesn't have are not
// for it.
func (i *instance) phase(name string, k *kong) {
	k.lines, k.observation = i.all.lines, i.observe(name)
	defer k.observation.end()
	switch name {
	case "access":
		i.access(k)
	case "response":
		i.response(k)
	}
}

// response enriches the token in the upstream's answer.
func (i *instance) response(k *kong) {
	k.answered = true
	i.handle(k, func(ctx context.Context, k *kong, g *gateway.Gateway) error {
		x, err := k.exchange()
		ctx = k.observation.trace(ctx)
		if err == nil && (!i.cfg.EnforcesAll() || x.NeedsRest()) { // where not all are enforced, access refused nothing
			err = k.rest(&x)
		}
		if err != nil {
			return err
		}
		answer(k, g.Enrich(ctx, x))
		return nil
	})
}

// handle runs a handler, which has the configured time, and ends the event
// whatever happens: Kong would repeat for ever an event whose connection just
// closes.
func (i *instance) handle(k *kong, handler func(context.Context, *kong, *gateway.Gateway) error) {
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
	i.tell(ctx, k)
	if err := handler(ctx, k, i.running); err != nil {
		i.fail(k, err)
	}
}

// tell logs what an operator should know of a configuration that serves, and of
// those that watch.
func (i *instance) tell(ctx context.Context, k *kong) {
	now := i.all.now()
	tellOf(k, "signing keys", i.running.Keys.Warning(ctx))
	tellOf(k, "records", i.running.Records.Warning())
	tellOf(k, "audit log", i.all.observers.audit.Warning(now))
	tellOf(k, "traces", i.all.observers.traces.Warning(now))
	if news := i.running.News(); news != "" {
		k.notice(news)
	}
}

// tellOf logs a warning in one line, if there is one. A collector's may be
// whatever it answered.
func tellOf(k *kong, what string, warning error) {
	if warning != nil {
		text := strings.Join(strings.Fields(warning.Error()), " ")
		k.warn(fmt.Sprintf("%s: %.1000s", what, text))
	}
}

// fail ends an event that couldn't be decided. Where not everybody is enforced
// that is told of as well, but stops nothing.
func (i *instance) fail(k *kong, err error) {
	r := enrich.Refusal(enrich.InternalError, 0, err)
	if i.cfg != nil && !i.cfg.EnforcesAll() {
		r.Action, r.Token = enrich.Pass, k.answered // nobody knows that it has none
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
