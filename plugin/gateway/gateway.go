// Package gateway is one running configuration: it verifies and enriches the
// provider's tokens, signs them with the gateway's keys, and publishes what an API
// needs to trust them. It knows neither Kong nor the observers.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"m2m-token-enricher/cache"
	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/reuse"
	"m2m-token-enricher/plugin/workflow"
	"m2m-token-enricher/schema"
)

// warmTime is how long reading the keys ahead of a request may take.
const warmTime = 10 * time.Second

// Gateway is a configuration with the clients that it needs. Its fields must not
// be changed. Safe for concurrent use.
type Gateway struct {
	Config   *schema.Config
	Provider *jws.Provider  // the provider's keys and metadata
	Keys     *jws.KeyFile   // the gateway's own
	Records  *cache.Records // of the applications, from Redis
	Reuse    *reuse.Answers // that may be given again; nil if none ever may

	deps     enrich.Dependencies
	enricher *enrich.Enricher
	workflow *workflow.Workflow // nil without one
	issuer   issuer
	step     func(context.Context, Step)

	announced atomic.Pointer[jws.Ring] // the ring of the last News
	warming   atomic.Bool
}

// Options are what a gateway gets beside its configuration. With the zero Options it
// starts empty and unobserved.
type Options struct {
	// From is a gateway whose cached records are copied. Its Records must serve the
	// configuration. Nil means none.
	From *Gateway

	// Transport sends the requests to the provider. Nil means a new one.
	Transport http.RoundTripper

	// Step is called with each step of an exchange after it, and with the context of
	// Enrich. Nil means that steps aren't measured.
	Step func(context.Context, Step)

	// Scoped says that all requests are those of one route or service. Otherwise no
	// answer is given again: they may be for different providers.
	Scoped bool
}

// Validated adds to the result of [schema.ParseInstance] or [schema.Parse] what only
// the core can see: what its expressions read, and further errors. The configuration
// is nil only if it can't be decoded.
func Validated(cfg *schema.Config, err error) (*schema.Config, error) {
	if cfg == nil {
		return nil, err
	}
	return cfg, errors.Join(err, enrich.Complete(cfg))
}

// Open returns the gateway of a configuration. Its clients connect when they are used.
// The error joins every error in cfg.
func Open(cfg *schema.Config, o Options) (*Gateway, error) {
	var from *cache.Records
	if o.From != nil {
		from = o.From.Records
	}
	g := &Gateway{
		Config:   cfg,
		Provider: jws.NewProvider(cfg.Issuer, cfg.JWKSURI, o.Transport, time.Now),
		Keys:     jws.NewKeyFile(cfg.Signing.JWKSFile, string(cfg.Signing.JWKS), time.Now),
		Records:  cache.New(cfg, from),
		step:     o.Step,
	}
	leeway := time.Duration(cfg.Leeway) * time.Second
	g.deps = enrich.Dependencies{
		Verifier: jws.NewVerifier(cfg.Issuer, cfg.Algorithms, leeway, g.Provider, time.Now, cfg.IssuersAllowed...),
		Ring:     g.ring,
		Records:  g.Records,
		Now:      time.Now,
	}
	if err := g.build(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	g.Reuse = g.openReuse(o.Scoped)
	return g, nil
}

// build makes what the configuration describes.
func (g *Gateway) build() (err error) {
	if g.workflow, err = openWorkflow(g.Config); err != nil {
		return err
	}
	if g.workflow != nil {
		g.deps.Workflow = g.workflow // not a nil pointer as a workflow
	}
	if g.enricher, err = enrich.New(g.Config, g.deps); err != nil {
		return err
	}
	g.issuer, err = newIssuer(g.Config)
	return err
}

// Dependencies are what the gateway's decisions ask.
func (g *Gateway) Dependencies() enrich.Dependencies { return g.deps }

func (g *Gateway) ring(ctx context.Context) (enrich.Ring, error) {
	ring, err := g.Keys.Ring(ctx)
	if err != nil {
		return nil, err // not a nil pointer as a ring
	}
	return ring, nil
}

// Enrich decides x, and measures the steps if Options.Step asked for it. It waits no
// longer than ctx.
func (g *Gateway) Enrich(ctx context.Context, x enrich.Exchange) enrich.Result {
	if g.step == nil {
		return g.enricher.Enrich(ctx, x)
	}
	s := newSteps(g.deps)
	r := g.enricher.With(s.dependencies()).Enrich(ctx, x)
	s.report(ctx, g.step)
	return r
}

// ReadsIP reports whether something reads the client's IP. Kong is asked for it only
// then.
func (g *Gateway) ReadsIP() bool { return g.deps.Workflow != nil || g.enricher.ReadsIP() }

// Warm reads the gateway's and the provider's keys before the next request needs them.
// A failure is reported by that request. Another Warm returns at once meanwhile.
func (g *Gateway) Warm() {
	if !g.warming.CompareAndSwap(false, true) {
		return
	}
	defer g.warming.Store(false)
	defer func() { _ = recover() }() // a panic would end the process
	ctx, cancel := context.WithTimeout(context.Background(), warmTime)
	defer cancel()
	_, _ = g.Keys.Ring(ctx)
	_, _ = g.Provider.Keys(ctx)
	if g.Config.Signing.Issuer != "" {
		_, _ = g.Provider.Metadata(ctx)
	}
}

// News returns a line for the log when the configuration starts to serve and when its
// keys change, with its settings and keys; otherwise "".
func (g *Gateway) News() string {
	ring, _ := g.Keys.State()
	if ring == nil || g.announced.Load() == ring || g.announced.Swap(ring) == ring {
		return ""
	}
	var kids []string
	for _, key := range ring.Keys() {
		kids = append(kids, key.ID)
	}
	cfg := g.Config
	line := fmt.Sprintf("serving issuer=%q signs=%s algorithm=%s published=%s redis=%q prefix=%q mode=%s enforce_share=%d policy=%s",
		cfg.Issuer, kids[0], ring.Algorithm(), strings.Join(kids, ","), g.Records.Where(), cfg.Prefix, cfg.Mode, cfg.EnforceShare, cfg.FailurePolicy)
	if w, ok := g.Workflow(); ok {
		line += fmt.Sprintf(" workflow=%q workflow_id=%q", w.File, w.ID)
	}
	if r := cfg.Reuse; r.Enabled {
		line += fmt.Sprintf(" reuse_max_age=%d reuse_shared=%t reuse_if_provider_fails=%t", r.MaxAge, r.Shared, r.IfProviderFails)
	}
	return line
}

// StopWaiting sends the requests that wait for another's answer to the provider. No
// answer is given again after it.
func (g *Gateway) StopWaiting() {
	if g.Reuse != nil {
		g.Reuse.Close()
	}
}

// Close closes the clients' connections. It waits for calls to Redis.
func (g *Gateway) Close() error {
	g.StopWaiting()
	if g.workflow != nil {
		g.workflow.Close()
	}
	g.Provider.Close()
	return g.Records.Close()
}
