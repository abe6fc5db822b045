package schema

import (
	"fmt"
	"regexp"
	"slices"
)

// minReuseSecret is how many bytes reuse.secret has at least.
const minReuseSecret = 16

// validate reports every error in c. maxTTL is signing.max_ttl.
func (c *Reuse) validate(r *report, maxTTL int) {
	c.validateSecret(r)
	validateHeaders(r, "config.reuse.vary_headers", c.VaryHeaders, "is compared already", comparedHeaders)
	validateHeaders(r, "config.reuse.bypass_headers", c.BypassHeaders, "is in every token request", everyRequestHas)
	if !c.Enabled {
		return
	}
	if maxTTL != 0 && c.MinRemaining >= maxTTL && r.read("config.signing.max_ttl") {
		r.addRule("config.reuse.min_remaining", "must be less than signing.max_ttl, which is %d, or no token is ever reused", maxTTL)
	}
	if c.ShareOfLife == 0 && !c.IfProviderFails && r.read("config.reuse.if_provider_fails") {
		r.addRule("config.reuse.share_of_life", "must be more than 0, or no token is ever reused unless if_provider_fails is set")
	}
}

func (c *Reuse) validateSecret(r *report) {
	switch n := len(c.Secret); {
	case n == 0 && c.Shared && r.read("config.reuse.shared"):
		r.addRule("config.reuse.secret", "required with shared; a vault reference that can't be resolved is empty")
	case n > 0 && n < minReuseSecret && !IsReference(string(c.Secret)):
		r.addRule("config.reuse.secret", "must have at least %d bytes; generate it, for example with openssl rand -base64 32", minReuseSecret)
	}
}

// comparedHeaders are those that requests must have in common anyway.
var comparedHeaders = []string{"host", "content-type", "content-encoding", "authorization", "cookie"}

// everyRequestHas are the headers without which there is no token request.
var everyRequestHas = []string{"host", "content-type", "content-length"}

// headerName matches the names of headers that nginx lets pass.
var headerName = regexp.MustCompile(`^[a-z0-9_-]{1,128}$`)

// validateHeaders reports names that aren't those of headers, or are in refused.
func validateHeaders(r *report, path string, names []string, reason string, refused []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case slices.Contains(refused, name):
			r.addRule(at, "%q %s", name, reason)
		case !headerName.MatchString(name) && name != "":
			r.addRule(at, "%.200q is not a header's name of letters, digits, hyphens and underscores", name)
		case slices.Contains(names[:i], name) && name != "":
			r.addRule(at, "%q is there twice", name)
		}
	}
}
