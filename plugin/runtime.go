package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"m2m-token-enricher/cache"
	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// runningConfig is a configuration with the clients that it needs: to Redis,
// to the provider's keys and to the gateway's key file.
type runningConfig struct {
	cfg      *schema.Config
	enricher *enrich.Enricher
	provider *jws.Provider
	records  *cache.Records
	keys     *jws.KeyFile
	issuer   issuer

	announced atomic.Pointer[jws.Ring] // the ring that the log was last told of
	warming   atomic.Bool
}

// open starts nothing that fails later than now: clients connect when they are
// used. The records that from has are taken over, unless it is nil. The error joins
// every mistake in cfg.
func open(cfg *schema.Config, from *cache.Records, watching observers) (*runningConfig, error) {
	provider := jws.NewProvider(cfg.Issuer, cfg.JWKSURI, watching.traces.Transport(), time.Now)
	r := &runningConfig{
		cfg:      cfg,
		provider: provider,
		records:  cache.New(cfg, from),
		keys:     jws.NewKeyFile(cfg.Signing.JWKSFile, string(cfg.Signing.JWKS), time.Now),
	}
	dependencies := enrich.Dependencies{
		Verifier: newVerifier(cfg, cfg.Algorithms, provider),
		Ring:     r.keys.Ring,
		Records:  r.records,
		Now:      time.Now,
		Step:     watching.step(),
	}
	var err error
	r.enricher, err = enrich.New(cfg, dependencies)
	if err == nil {
		r.issuer, err = newIssuer(cfg)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// newVerifier returns what verifies the provider's tokens with one of algorithms
// and a key of keys.
func newVerifier(cfg *schema.Config, algorithms []string, keys jws.KeySource) *jws.Verifier {
	return jws.NewVerifier(cfg.Issuer, algorithms, time.Duration(cfg.Leeway)*time.Second, keys, time.Now)
}

// warm reads the keys, the gateway's and the provider's, before the next
// request needs them. That it fails is for that request to say. One at a time
// does it.
func (r *runningConfig) warm() {
	if !r.warming.CompareAndSwap(false, true) {
		return
	}
	defer r.warming.Store(false)
	defer func() { _ = recover() }() // it runs by itself, so a panic would end the process
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _ = r.keys.Ring(ctx)
	_, _ = r.provider.Keys(ctx)
	if r.cfg.Signing.Issuer != "" {
		_, _ = r.provider.Metadata(ctx)
	}
}

// news returns a line for the log when the configuration begins to serve, and
// when its keys change: what it is, and which keys it has. Otherwise "".
func (r *runningConfig) news() string {
	ring, _ := r.keys.State()
	if ring == nil || r.announced.Load() == ring || r.announced.Swap(ring) == ring {
		return ""
	}
	var kids []string
	for _, key := range ring.Keys() {
		kids = append(kids, key.ID)
	}
	return fmt.Sprintf("serving issuer=%q signs=%s algorithm=%s published=%s redis=%q prefix=%q mode=%s enforce_share=%d policy=%s",
		r.cfg.Issuer, kids[0], ring.Algorithm(), strings.Join(kids, ","), r.records.Where(), r.cfg.Prefix, r.cfg.Mode, r.cfg.EnforceShare, r.cfg.FailurePolicy)
}

func (r *runningConfig) close() error {
	r.provider.Close()
	return r.records.Close()
}
