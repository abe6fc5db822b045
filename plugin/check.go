package plugin

import (
	"context"
	"fmt"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// How long and how far Check looks.
const (
	checkTimeout = 10 * time.Second
	countLimit   = 1_000_000
)

// Finding is one line of a check: what is right, or the mistake.
type Finding struct {
	What    string
	Mistake error
}

// Check tries a configuration as an operator writes it: its rules, the
// gateway's keys, the provider's keys and Redis. It serves no request.
func Check(ctx context.Context, given map[string]any) []Finding {
	jws.Accelerate() // as the server does
	cfg, err := validated(schema.Written(given))
	if err != nil {
		return each("configuration", err)
	}
	findings := []Finding{{What: fmt.Sprintf("configuration: issuer %s, %d claims, prefix %s", cfg.Issuer, len(cfg.Claims), cfg.Prefix)}}
	r, err := open(cfg, nil, observers{})
	if err != nil {
		return append(findings, each("configuration", err)...)
	}
	defer r.close()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return append(append(findings, r.checkKeys(ctx), r.checkProvider(ctx)), r.checkRecords(ctx)...)
}

func (r *runningConfig) checkKeys(ctx context.Context) Finding {
	if schema.IsReference(string(r.cfg.Signing.JWKS)) {
		return Finding{What: "signing keys: not checked, only Kong can resolve the vault reference"}
	}
	ring, err := r.keys.Ring(ctx)
	if err != nil {
		return Finding{"signing keys", err}
	}
	return Finding{What: fmt.Sprintf("signing keys: %d, %s signs with %s, by %s", len(ring.Keys()), ring.Keys()[0].ID, ring.Algorithm(), jws.Signatures())}
}

func (r *runningConfig) checkProvider(ctx context.Context) Finding {
	keys, err := r.provider.Keys(ctx)
	if err != nil {
		return Finding{"provider's keys", err}
	}
	return Finding{What: fmt.Sprintf("provider's keys: %d", len(keys))}
}

func (r *runningConfig) checkRecords(ctx context.Context) []Finding {
	redis := r.cfg.Redis
	for _, secret := range []string{redis.Username, string(redis.Password), redis.SentinelUsername, string(redis.SentinelPassword)} {
		if schema.IsReference(secret) {
			return []Finding{{What: "redis: not checked, only Kong can resolve the vault reference"}}
		}
	}
	n, err := r.records.Count(ctx, countLimit)
	if err != nil {
		return []Finding{{r.records.Where(), err}}
	}
	more := ""
	if n == countLimit {
		more = " or more"
	}
	findings := []Finding{{What: fmt.Sprintf("%s: %d%s applications", r.records.Where(), n, more)}}
	if r.cfg.Cache.Invalidation {
		masters, err := r.records.Tracked(ctx)
		findings = append(findings, Finding{fmt.Sprintf("cache.invalidation: %d masters", masters), err})
	}
	return findings
}

// each makes a finding of every joined error.
func each(what string, err error) []Finding {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var findings []Finding
		for _, e := range joined.Unwrap() {
			findings = append(findings, each(what, e)...)
		}
		return findings
	}
	return []Finding{{what, err}}
}
