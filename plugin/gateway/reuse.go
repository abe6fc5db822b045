package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/reuse"
	"m2m-token-enricher/schema"
)

// openReuse returns the gateway's answers that may be given again. It returns nil if
// none ever may: the configuration doesn't ask for it, enforces nobody, or isn't that
// of one route or service.
func (g *Gateway) openReuse(scoped bool) *reuse.Answers {
	cfg := g.Config
	if !cfg.Reuse.Enabled || cfg.Mode != schema.ModeEnforce || cfg.EnforceShare == 0 || !scoped {
		return nil
	}
	if cfg.Reuse.IfProviderFails && readsMetadata(cfg) {
		g.Provider.ProbeTokenEndpoint()
	}
	o := reuse.Options{
		Config: cfg, Identity: g.reuseIdentity(),
		Again: g.again, Marks: g.Records.PurgeMarks, Alive: g.Provider.Alive,
		Now: time.Now, Random: rand.Float64,
	}
	if cfg.Reuse.Shared {
		o.Shared = g.Records
	}
	return reuse.New(o)
}

// readsMetadata reports whether the gateway relies on the provider's discovery document
// anyway. Otherwise the operator may have set jwks_uri because the URLs in that document
// are for others, such as those outside a cluster.
func readsMetadata(cfg *schema.Config) bool { return cfg.JWKSURI == "" || cfg.Signing.Issuer != "" }

// reuseIdentity stands for all that decides an answer beside the request: the
// configuration with its secrets, and the code of the workflow. It is the same on all
// gateways that have these.
func (g *Gateway) reuseIdentity() [sha256.Size]byte {
	var code [sha256.Size]byte
	if g.workflow != nil {
		code = g.workflow.Digest()
	}
	return sha256.Sum256(slices.Concat(g.Config.Identity[:], code[:]))
}

// again is [enrich.Enricher.Again] now. It measures the steps as Enrich does.
func (g *Gateway) again(ctx context.Context, h *enrich.Held, ip string) (enrich.Result, error) {
	if g.step == nil {
		return g.enricher.Again(ctx, h, ip, g.deps.Now())
	}
	s := newSteps(g.deps)
	defer s.report(ctx, g.step)
	return g.enricher.With(s.dependencies()).Again(ctx, h, ip, g.deps.Now())
}

// ReuseWarning returns why no answer is given again although the configuration asks
// for it, otherwise nil.
func (g *Gateway) ReuseWarning() error {
	if !g.Config.Reuse.Enabled || g.Reuse != nil || g.Config.Mode != schema.ModeEnforce || g.Config.EnforceShare == 0 {
		return nil
	}
	return fmt.Errorf("no answer is reused, because %w", ErrAllRoutes)
}

// ErrAllRoutes is why a plugin that is on no route and on no service reuses nothing.
var ErrAllRoutes = errors.New("the plugin is for all routes, which may lead to different providers; put it on a route or a service")
