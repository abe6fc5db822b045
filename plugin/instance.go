package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// Instance is one plugin instance: a configuration that Kong delivered. Kong
// makes one for each worker, and all anew at each rebuild of its
// configuration. Handlers run in parallel.
type Instance struct {
	id       int32
	runtimes *runtimes
	cfg      *schema.Config
	mistakes error // why the configuration can't be used
}

// newInstance starts an instance with the configuration that Kong delivers. It
// doesn't fail on a mistake in it: Kong would answer each request with a 500 and
// the operator would never learn why. The events say it instead.
func newInstance(runtimes *runtimes, config []byte) *Instance {
	i := &Instance{runtimes: runtimes, id: instanceID(sha256.Sum256(config))}
	i.start(config)
	return i
}

func (i *Instance) start(config []byte) {
	defer func() {
		if v := recover(); v != nil {
			i.mistakes = panicked(v)
		}
	}()
	if i.cfg, i.mistakes = validated(schema.Delivered(config)); i.mistakes == nil {
		i.id = instanceID(i.cfg.Fingerprint)
		_, i.mistakes = i.runtimes.get(i.cfg)
	}
}

// instanceID makes an id of what the configuration is. So all workers, and the
// processes before and after a reload, have the same one for the same
// configuration; that two have the same is one in a billion.
func instanceID(fingerprint [sha256.Size]byte) int32 {
	return int32(binary.BigEndian.Uint32(fingerprint[:])>>1 | 1) // positive, and not 0
}

// validated adds the mistakes in a decoded configuration that only the core
// can see.
func validated(cfg *schema.Config, err error) (*schema.Config, error) {
	if cfg == nil {
		return nil, err
	}
	return cfg, errors.Join(err, enrich.Validate(cfg))
}

// phase runs the handler of a phase; those that the plugin doesn't have are not
// for it.
func (i *Instance) phase(name string, k *kong) {
	k.lines = i.runtimes.lines
	if measured := i.runtimes.measured; measured != nil {
		begun := time.Now()
		defer func() { measured.Handler(name, time.Since(begun)) }()
		k.answered = i.count
	}
	switch name {
	case "access":
		i.access(k)
	case "response":
		i.response(k)
	}
}

// count counts a decision.
func (i *Instance) count(r enrich.Result, requestID string) {
	name := "none" // of a configuration with a mistake
	if i.cfg != nil && i.mistakes == nil {
		name = hex.EncodeToString(i.cfg.Fingerprint[:4])
	}
	i.runtimes.measured.Outcome(name, string(r.Outcome), r.Action.String(), requestID)
}

// access publishes the gateway's keys and metadata, and keeps away what would
// get around the response phase.
func (i *Instance) access(k *kong) {
	i.handle(k, func(ctx context.Context, k *kong, r *runningConfig) error {
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
		case !i.cfg.EnforcesAll():
		default:
			refuseAccess(k, request)
		}
		return nil
	})
}

// refuseAccess refuses what no token endpoint knows, what would get around the
// response phase (Kong doesn't buffer what may become a websocket), and what two
// readers may take for different requests: the response phase then needs no
// header of the request to know what it was.
func refuseAccess(k *kong, r accessRequest) {
	upgrade := strings.ToLower(strings.TrimSpace(strings.Join(r.headers.upgrade, ", ")))
	switch {
	case r.headers.count >= maxHeaders:
		answer(k, enrich.Refusal(enrich.BadRequest, 0, errors.New("too many headers")))
	case upgrade != "" && upgrade != "h2c":
		answer(k, enrich.Refusal(enrich.BadRequest, 0, errors.New("the request asks for an upgrade")))
	case r.method == http.MethodOptions:
	case r.method != http.MethodPost:
		answer(k, enrich.Refusal(enrich.BadRequest, http.StatusMethodNotAllowed, errors.New("the method is not POST")))
	default:
		if err := enrich.CheckRequest(r.query, r.headers.contentType, r.headers.contentEncoding, r.headers.authorization); err != nil {
			answer(k, enrich.Refusal(enrich.AmbiguousRequest, 0, err))
		}
	}
}

// response enriches the token in the upstream's answer.
func (i *Instance) response(k *kong) {
	i.handle(k, func(ctx context.Context, k *kong, r *runningConfig) error {
		x, err := k.exchange()
		if err == nil && !i.cfg.EnforcesAll() {
			err = x.Complete() // access refused nothing
		}
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
func (i *Instance) handle(k *kong, handler func(context.Context, *kong, *runningConfig) error) {
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
		if news := r.news(); news != "" {
			k.notice(news)
		}
		err = handler(ctx, k, r)
	}
	if err != nil {
		i.fail(k, err)
	}
}

// fail ends an event that couldn't be decided. Where not everybody is enforced
// that is told of as well, but stops nothing.
func (i *Instance) fail(k *kong, err error) {
	r := enrich.Refusal(enrich.InternalError, 0, err)
	if i.cfg != nil && !i.cfg.EnforcesAll() {
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
