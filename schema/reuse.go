package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Reuse is about answers that are given again. Times are in seconds.
type Reuse struct {
	Enabled         bool     `json:"enabled" default:"false" description:"Reuse enriched answers for requests that are repeated byte for byte."`
	MaxAge          int      `json:"max_age" default:"300" between:"1,86400" description:"Seconds for which an answer may be reused after its token was signed."`
	ShareOfLife     float64  `json:"share_of_life" default:"0.75" between:"0,1" description:"Share of the token's life in which its answer may be reused."`
	MinRemaining    int      `json:"min_remaining" default:"60" between:"0,86400" description:"Seconds of life that a reused token must have left."`
	MaxEntries      int      `json:"max_entries" default:"10000" between:"1,10000000" description:"Largest number of answers in memory."`
	MaxBytes        int      `json:"max_bytes" default:"33554432" between:"65536,1099511627776" description:"Memory for the answers, in bytes."`
	Coalesce        bool     `json:"coalesce" default:"true" description:"Let identical requests that come at the same time wait for the first one's answer."`
	Shared          bool     `json:"shared" default:"false" description:"Share answers with other gateways through Redis, encrypted. Needs reuse.secret."`
	Secret          Secret   `json:"secret" len_min:"0" description:"What gateways that share answers have in common, at least 16 bytes. Needed with reuse.shared."`
	IfProviderFails bool     `json:"if_provider_fails" default:"false" description:"While the provider fails, reuse an answer up to the end of its life less min_remaining, however old."`
	VaryHeaders     []string `json:"vary_headers" len_max:"16" description:"Further request headers by which the provider's answer differs. Unset: none."`
	BypassHeaders   []string `json:"bypass_headers" default:"dpop,client-cert,x-client-cert,x-ssl-client-cert,ssl-client-cert,x-forwarded-client-cert" len_max:"16" description:"Request headers whose presence excludes reuse, such as those with a client certificate."`
}

// minReuseSecret is how many bytes reuse.secret has at least.
const minReuseSecret = 16

// reuseSegment follows the prefix in the keys of reuse.
const reuseSegment = "reuse"

// PurgeMarksKey is the key in Redis of the marks that forbid older answers.
func PurgeMarksKey(prefix string) string { return prefix + reuseSegment + ":purged" }

// SharedAnswerKey is the key in Redis of the shared answer called name.
func SharedAnswerKey(prefix, name string) string { return prefix + reuseSegment + ":answer:" + name }

// derive writes the names of headers in lower case.
func (r *Reuse) derive() {
	for _, names := range [][]string{r.VaryHeaders, r.BypassHeaders} {
		for i := range names {
			names[i] = strings.ToLower(names[i])
		}
	}
}

func (c *Config) validateReuse(r *report) {
	c.Reuse.validateSecret(r)
	validateHeaders(r, "config.reuse.vary_headers", c.Reuse.VaryHeaders, "is compared already", comparedHeaders)
	validateHeaders(r, "config.reuse.bypass_headers", c.Reuse.BypassHeaders, "is in every token request", everyRequestHas)
	if !c.Reuse.Enabled {
		return
	}
	if ttl := c.Signing.MaxTTL; ttl != 0 && c.Reuse.MinRemaining >= ttl && r.read("config.signing.max_ttl") {
		r.addRule("config.reuse.min_remaining", "must be less than signing.max_ttl, which is %d, or no token is ever reused", ttl)
	}
	if c.Reuse.ShareOfLife == 0 && !c.Reuse.IfProviderFails && r.read("config.reuse.if_provider_fails") {
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
