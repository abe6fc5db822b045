package schema

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// validate reports every mistake that Kong's schema can't say.
func (c *Config) validate() error {
	var mistakes []error
	mistake := func(path, format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("config.%s: %s", path, fmt.Sprintf(format, args...)))
	}
	if c.Issuer != "" { // else it is reported as missing already
		c.validateProvider(mistake)
	}
	c.validateSigning(mistake)
	c.Redis.validate(mistake)
	c.validateSources(mistake)
	for i, claim := range c.Claims {
		c.validateClaim(i, claim, mistake)
	}
	return errors.Join(mistakes...)
}

type reporter func(path, format string, args ...any)

func (c *Config) validateProvider(mistake reporter) {
	u, err := url.Parse(c.Issuer)
	isURL := err == nil && u.Host != ""
	switch {
	case isURL && (u.RawQuery != "" || u.Fragment != "" || u.User != nil):
		mistake("issuer", "must have no user, query or fragment (RFC 8414, section 2)")
	case c.JWKSURI == "" && Fetchable(c.Issuer) != nil:
		mistake("issuer", "must be an https URL, or http on loopback, if jwks_uri is unset")
	}
	if c.JWKSURI != "" && Fetchable(c.JWKSURI) != nil {
		mistake("jwks_uri", "must be an https URL, or http on loopback")
	}
	if c.Prefix == "" && !isURL {
		mistake("prefix", "required, since the issuer has no host to derive it from")
	} else if err := ValidPrefix(c.Prefix); err != nil {
		mistake("prefix", "%v", err)
	}
	if c.ManagementAudiences == nil && isURL {
		mistake("management_audiences", "required, since the issuer isn't a *.kinde.com host; [] if there are none")
	} else if c.ManagementAudiences == nil {
		mistake("management_audiences", "required; [] if there are none")
	}
}

func (c *Config) validateSigning(mistake reporter) {
	if s := c.Signing.Issuer; s != "" {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			mistake("signing.issuer", "must be an https URL without user, query or fragment (RFC 8414, section 2)")
		}
		if c.Issuer != "" && Fetchable(c.Issuer) != nil {
			mistake("signing.issuer", "needs the provider's metadata, but issuer is no https URL to fetch it from")
		}
	}
	if strings.ContainsAny(c.Signing.JWKSPath, "?#") {
		mistake("signing.jwks_path", "must be a path without query or fragment")
	}
}

func (r *Redis) validate(mistake reporter) {
	if len(r.ClusterNodes) > 0 && r.Database != 0 {
		mistake("redis.database", "must be 0, a cluster has no other")
	}
	if !r.SSL && (r.SSLCAFile != "" || r.SSLCertFile != "") {
		mistake("redis.ssl", "must be true, or ssl_ca_file and ssl_cert_file have no effect")
	}
}

func (c *Config) validateSources(mistake reporter) {
	if kind, key := Source(c.Organization.From); kind != Application || key == "" {
		mistake("organization.from", "must be application.KEY")
	}
	if kind, key := Source(c.User.From); kind != Application || key == "" {
		mistake("user.from", "must be application.KEY")
	}
}

func (c *Config) validateClaim(i int, claim Claim, mistake reporter) {
	path := fmt.Sprintf("claims[%d]", i)
	standing := standingOf(claim.Name)
	switch {
	case strings.ContainsFunc(claim.Name, func(r rune) bool { return !unicode.IsGraphic(r) }):
		mistake(path+".name", "%q has characters that some readers drop or stop at", claim.Name)
	case standing == reservedClaim:
		mistake(path+".name", "%q is reserved for the provider", claim.Name)
	case len(c.ClientIDClaim) > 0 && strings.EqualFold(c.ClientIDClaim[0], claim.Name):
		mistake(path+".name", "%q is the configured client_id_claim", claim.Name)
	case standing == authorizationClaim && !c.AllowAuthorizationClaims:
		mistake(path+".name", "%q decides what a caller may do; set allow_authorization_claims to allow it", claim.Name)
	}
	for j, other := range c.Claims[:i] {
		if strings.EqualFold(other.Name, claim.Name) {
			mistake(path+".name", "%q is claims[%d] already", claim.Name, j)
		}
	}
	if claim.From != "" {
		if kind, key := Source(claim.From); kind == "" || key == "" {
			mistake(path+".from", "must be application.KEY, organization.KEY or user.KEY")
		}
	}
}

// Source splits a source of the form KIND.KEY. The kind is empty if it isn't
// one.
func Source(from string) (Kind, string) {
	kind, key, _ := strings.Cut(from, ".")
	switch k := Kind(kind); k {
	case Application, Organization, User:
		return k, key
	}
	return "", ""
}
