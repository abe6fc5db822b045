// Package diagnose shows an operator, without Kong, what a configuration does:
// whether it works, what a client's token gets and why, and who signed a token.
package diagnose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// How long and how far Check looks.
const (
	checkTimeout = 10 * time.Second
	countLimit   = 1_000_000
)

// Finding is one line of a check.
type Finding struct {
	What    string // was checked, and the result if Err is nil
	Err     error
	Warning bool // it works, but an operator should look at it
}

// Check tries a configuration as [schema.Parse] takes it: its rules, the
// gateway's keys, the provider's keys and Redis, except what depends on
// [schema.Unknown] values. It serves no request. The error joins the errors in the
// configuration.
func Check(ctx context.Context, given any) ([]Finding, error) {
	cfg, err := gateway.Validated(schema.Parse(given))
	if err != nil {
		return nil, err
	}
	g, err := gateway.Open(cfg, gateway.Options{})
	if err != nil {
		return nil, err
	}
	findings := []Finding{{What: fmt.Sprintf("configuration: issuer %s, %d claims, prefix %s",
		cmp.Or(cfg.Issuer, "unknown"), len(cfg.Claims), cmp.Or(cfg.Prefix, "unknown"))}}
	defer g.Close()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return slices.Concat(findings, checkWorkflow(g), []Finding{checkKeys(ctx, g)}, checkProvider(ctx, g), checkRecords(ctx, g)), nil
}

// checkWorkflow returns a finding for the workflow, whose file was read and
// built.
func checkWorkflow(g *gateway.Gateway) []Finding {
	w, ok := g.Workflow()
	if !ok {
		return nil
	}
	what := fmt.Sprintf("workflow: %s, id %s", w.File, w.ID)
	if policy := g.Dependencies().Workflow.Policy(); policy != "" {
		what += ", failure policy " + policy
	}
	return []Finding{{What: what}}
}

func checkKeys(ctx context.Context, g *gateway.Gateway) Finding {
	if !g.Config.Knows("config.signing.jwks") || !g.Config.Knows("config.signing.jwks_file") {
		return Finding{What: "signing keys: not checked, a value is unknown"}
	}
	if schema.IsReference(string(g.Config.Signing.JWKS)) {
		return Finding{What: "signing keys: not checked, only Kong can resolve the vault reference"}
	}
	ring, err := g.Keys.Ring(ctx)
	if err != nil {
		return Finding{What: "signing keys", Err: err}
	}
	return Finding{What: fmt.Sprintf("signing keys: %d, %s signs with %s, by %s", len(ring.Keys()), ring.Keys()[0].ID, ring.Algorithm(), jws.Signatures())}
}

// checkProvider returns a finding for all keys of the provider that verify tokens, and
// one for each that doesn't. It warns if they come over plain http.
func checkProvider(ctx context.Context, g *gateway.Gateway) (findings []Finding) {
	if !g.Config.Knows("config.jwks_uri") || g.Config.JWKSURI == "" && !g.Config.Knows("config.issuer") {
		return []Finding{{What: "provider's keys: not checked, a value is unknown"}}
	}
	if g.Config.KeysOverPlainHTTP() {
		findings = append(findings, Finding{What: fmt.Sprintf("provider's keys: %v", gateway.ErrPlainHTTP), Warning: true})
	}
	keys, err := g.Provider.Keys(ctx)
	if err != nil {
		return append(findings, Finding{What: "provider's keys", Err: err})
	}
	findings = append(findings, Finding{What: fmt.Sprintf("provider's keys: %d", len(keys))})
	for _, key := range g.Provider.Skipped() {
		findings = append(findings, Finding{What: "provider's keys: not used: " + key.String(), Warning: !key.Encrypts})
	}
	return findings
}

func checkRecords(ctx context.Context, g *gateway.Gateway) []Finding {
	if !g.Config.Knows("config.redis") || !g.Config.Knows("config.prefix") || g.Config.Prefix == "" {
		return []Finding{{What: "redis: not checked, a value is unknown"}}
	}
	redis := g.Config.Redis
	for _, secret := range []string{redis.Username, string(redis.Password), redis.SentinelUsername, string(redis.SentinelPassword)} {
		if schema.IsReference(secret) {
			return []Finding{{What: "redis: not checked, only Kong can resolve the vault reference"}}
		}
	}
	// Nobody has this identifier: its record isn't there, or is no record.
	if _, err := g.Records.Record(ctx, schema.Application, ""); errors.Is(err, schema.ErrUnavailable) {
		return []Finding{{What: g.Records.Where(), Err: err}}
	}
	findings := []Finding{countRecords(ctx, g)}
	if g.Config.Cache.Invalidation {
		masters, err := g.Records.Tracked(ctx)
		findings = append(findings, Finding{What: fmt.Sprintf("cache.invalidation: %d masters", masters), Err: err})
	}
	return append(findings, checkReuse(ctx, g)...)
}

// countRecords fails unless the server only doesn't list what it has: lookups don't
// need that.
func countRecords(ctx context.Context, g *gateway.Gateway) Finding {
	n, err := g.Records.Count(ctx, countLimit)
	switch {
	case errors.Is(err, schema.ErrNotListed):
		const uncounted = "%s: lookups work, applications aren't counted; list, export and sync need another address: %v"
		return Finding{What: fmt.Sprintf(uncounted, g.Records.Where(), err), Warning: true}
	case err != nil:
		return Finding{What: g.Records.Where(), Err: err}
	case n == countLimit:
		return Finding{What: fmt.Sprintf("%s: %d or more applications", g.Records.Where(), n)}
	}
	return Finding{What: fmt.Sprintf("%s: %d applications", g.Records.Where(), n)}
}
