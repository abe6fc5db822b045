package schema

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// validate reports every broken rule that Kong's schema can't express.
func (c *Config) validate(r *report) {
	c.validateProvider(r)
	c.validateSigning(r)
	c.Redis.validate(r)
	c.Organization.validate(r, "config.organization")
	c.User.validate(r, "config.user")
	c.validateWorkflow(r)
	c.Reuse.validate(r, c.Signing.MaxTTL)
	for i, claim := range c.Claims {
		c.validateClaim(r, fmt.Sprintf("config.claims[%d]", i), claim)
		c.validateUnique(r, i)
	}
}

func (c *Config) validateProvider(r *report) {
	c.validateJWKSURI(r)
	for i, s := range c.IssuersAllowed {
		if moreThanIssuer(s) {
			r.addRule(fmt.Sprintf("config.issuers_allowed[%d]", i), noMoreThanIssuer)
		}
	}
	if c.Prefix != "" {
		if err := ValidPrefix(c.Prefix); err != nil {
			r.addRule("config.prefix", "%v", err)
		}
	}
	if c.Issuer == "" {
		return // which is reported already, and nothing can be derived from it
	}
	switch {
	case moreThanIssuer(c.Issuer):
		r.addRule("config.issuer", noMoreThanIssuer)
	case c.JWKSURI == "" && r.read("config.jwks_uri") && Fetchable(c.Issuer) != nil:
		r.addRule("config.issuer", "must be an https URL, or http on loopback, if jwks_uri is unset")
	}
	if c.Prefix == "" {
		r.addRule("config.prefix", "required, because the issuer has no host to derive it from")
	}
	if c.ManagementAudiences == nil {
		r.addRule("config.management_audiences", "required, because the issuer isn't a *.kinde.com host; [] if there are none")
	}
}

func (c *Config) validateJWKSURI(r *report) {
	plain, err := reachable(c.JWKSURI)
	switch {
	case c.JWKSURI == "" && c.JWKSInsecureHTTP && r.read("config.jwks_uri"):
		r.addRule("config.jwks_insecure_http", "needs jwks_uri, because it allows plain http for that URL alone")
	case c.JWKSURI == "":
	case plain && !c.JWKSInsecureHTTP && r.read("config.jwks_insecure_http"):
		r.addRule("config.jwks_uri", "must be an https URL, or http on loopback; jwks_insecure_http allows plain http inside a cluster")
	case err != nil:
		r.addRule("config.jwks_uri", "must be an https URL, or http on loopback")
	}
}

// KeysOverPlainHTTP reports whether the provider's keys are fetched in a way in which
// others could replace them.
func (c *Config) KeysOverPlainHTTP() bool {
	plain, _ := reachable(c.JWKSURI)
	return plain
}

const noMoreThanIssuer = "must have no user, query or fragment (RFC 8414, section 2)"

// moreThanIssuer reports whether s is a URL with a part that an issuer's URL can't have.
func moreThanIssuer(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.RawQuery != "" || u.Fragment != "" || u.User != nil)
}

func (c *Config) validateSigning(r *report) {
	if s := c.Signing.Issuer; s != "" {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			r.addRule("config.signing.issuer", "must be an https URL without user, query or fragment (RFC 8414, section 2)")
		}
		if c.Issuer != "" && Fetchable(c.Issuer) != nil {
			r.addRule("config.signing.issuer", "needs the provider's metadata, but issuer is no https URL to fetch it from")
		}
	}
	if c.Signing.Profile != "" && c.Signing.Issuer == "" && r.read("config.signing.issuer") {
		r.addRule("config.signing.profile", "needs signing.issuer, because the profile is a promise of the token's issuer")
	}
	if strings.ContainsAny(c.Signing.JWKSPath, "?#") {
		r.addRule("config.signing.jwks_path", "must be a path without query or fragment")
	}
}

func (c *Redis) validate(r *report) {
	if len(c.ClusterNodes) > 0 && c.Database != 0 {
		r.addRule("config.redis.database", "must be 0, a cluster has no other")
	}
	if !c.SSL && (c.SSLCAFile != "" || c.SSLCertFile != "") {
		r.addRule("config.redis.ssl", "must be true, or ssl_ca_file and ssl_cert_file have no effect")
	}
}

func (c *Relation) validate(r *report, path string) {
	for i, source := range c.From {
		if kind, key := Source(source); kind != Application && kind != Token || key == "" {
			r.addRule(fmt.Sprintf("%s.from[%d]", path, i), "must be application.KEY or token.PATH%s", didYouMeanSource(source, Application, Token))
		}
	}
}

func (c *Config) validateClaim(r *report, path string, claim Claim) {
	allowed := c.AllowAuthorizationClaims || !r.read("config.allow_authorization_claims")
	if err := c.checkClaim(claim.Name, allowed); err != nil {
		r.addRule(path+".name", "%v", err)
	}
	if kind, key := Source(claim.From); claim.From != "" && (kind == "" || key == "") {
		r.addRule(path+".from", "must be application.KEY, organization.KEY, user.KEY or token.PATH%s", didYouMeanSource(claim.From, append(slices.Clone(Kinds), Token)...))
	}
}

// CheckClaim returns an error if the configuration may not add a claim called name,
// whatever gives its value.
func (c *Config) CheckClaim(name string) error {
	if name == "" || len(name) > MaxNameSize || !utf8.ValidString(name) {
		return fmt.Errorf("the name of a claim must be 1 to %d bytes of UTF-8", MaxNameSize)
	}
	return c.checkClaim(name, c.AllowAuthorizationClaims)
}

func (c *Config) checkClaim(name string, authorization bool) error {
	standing := standingOf(name)
	switch {
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || ignorable(r) }):
		return fmt.Errorf("%q has characters that some readers drop or stop at", name)
	case standing == reservedClaim:
		return fmt.Errorf("%q is reserved for the provider; choose another name", name)
	case len(c.ClientIDClaim) > 0 && strings.EqualFold(c.ClientIDClaim[0], name):
		return fmt.Errorf("%q is the configured client_id_claim; choose another name", name)
	case standing == authorizationClaim && !authorization:
		return fmt.Errorf("%q decides what a caller may do; set allow_authorization_claims to allow it", name)
	}
	return nil
}

// validateUnique reports the claim at i if an earlier one has its name.
func (c *Config) validateUnique(r *report, i int) {
	for j, other := range c.Claims[:i] {
		if name := c.Claims[i].Name; name != "" && strings.EqualFold(other.Name, name) {
			r.addRule(fmt.Sprintf("config.claims[%d].name", i), "%q is claims[%d] already", name, j)
		}
	}
}

// Source splits a source of the form KIND.KEY or token.PATH. The kind is empty if
// from has another form.
func Source(from string) (Kind, string) {
	kind, key, _ := strings.Cut(from, ".")
	if slices.Contains(Kinds, Kind(kind)) || Kind(kind) == Token {
		return Kind(kind), key
	}
	return "", ""
}

// didYouMeanSource is [DidYouMean] for a source of one of the kinds.
func didYouMeanSource(from string, kinds ...Kind) string {
	word, key, _ := strings.Cut(from, ".")
	var names []string
	for _, kind := range kinds {
		names = append(names, string(kind))
	}
	if kind := nearest(word, names); kind != "" && kind != word && key != "" {
		return fmt.Sprintf("; did you mean %q?", kind+"."+key)
	}
	return ""
}
