// Package schema defines what an operator may write: the plugin's
// configuration, with its defaults and its rules, and the records in Redis. It
// decides what is valid, imports the standard library only and does no I/O.
package schema

import (
	"crypto/sha256"
	"hash/fnv"
	"slices"
)

// Config is one complete configuration of the plugin: defaults are filled in and
// every rule holds. It must not be modified; it may be shared.
type Config struct {
	// Mode is ModeEnforce or ModeObserve. ModeObserve decides and logs everything,
	// but the client gets the provider's answer. Unset means ModeEnforce.
	Mode string `json:"mode"`

	// EnforceShare is the percentage of applications for which ModeEnforce applies.
	// The others are only observed. Unset means 100, zero means none.
	EnforceShare int `json:"enforce_share"`

	// FailurePolicy is PolicyStop or PolicyContinue. PolicyContinue answers with the
	// provider's token for the outcomes that allow it. Unset means PolicyStop.
	FailurePolicy string `json:"failure_policy"`

	// Timeout limits all that a handler waits for, in milliseconds. Unset means 1000.
	Timeout int `json:"timeout"`

	// Issuer is the provider. The iss claim of every token must be exactly this, or one
	// of IssuersAllowed.
	Issuer string `json:"issuer"`

	// IssuersAllowed are further values of iss that one provider writes into its tokens.
	// The keys and the metadata come from Issuer and JWKSURI alone. Empty means none.
	IssuersAllowed []string `json:"issuers_allowed"`

	// JWKSURI is where the provider publishes its keys. Empty means the place that its
	// discovery document names.
	JWKSURI string `json:"jwks_uri"`

	// JWKSInsecureHTTP allows JWKSURI, and no other URL, to be plain http to another
	// host: whoever is on the way can replace the keys. False refuses that.
	JWKSInsecureHTTP bool `json:"jwks_insecure_http"`

	// Algorithms are the signature algorithms that are accepted from the provider.
	// Unset means RS256.
	Algorithms []string `json:"algorithms"`

	// Leeway is the tolerated difference of the clocks, in seconds. Unset means 60,
	// zero means none.
	Leeway int `json:"leeway"`

	// ClientIDClaim is the path to the claim that names the application. Unset means
	// azp, client_id, appid and cid: each that a token has must name the same one.
	ClientIDClaim []string `json:"client_id_claim"`

	// ManagementAudiences are the audiences whose tokens pass unchanged. Unset means
	// https://HOST/api of a *.kinde.com issuer, empty means none.
	ManagementAudiences []string `json:"management_audiences"`

	// RejectMixedAudience refuses a token that has a management audience and another
	// one. False lets it pass unchanged.
	RejectMixedAudience bool `json:"reject_mixed_audience"`

	// UnverifiedManagement is UnverifiedRefuse or UnverifiedPass. UnverifiedPass passes
	// a token that can't be verified if all its audiences are management audiences.
	// Unset means UnverifiedRefuse.
	UnverifiedManagement string `json:"unverified_management"`

	// MaxTokenSize limits an enriched token, in bytes. Unset means 7168.
	MaxTokenSize int `json:"max_token_size"`

	// OtherTokens is OtherTokensDrop, OtherTokensKeep or OtherTokensRefuse: what
	// happens to an ID token or a refresh token beside an M2M access token. The ID
	// token's at_hash doesn't fit the enriched token, and the refresh token would bring
	// a raw one. Unset means OtherTokensDrop.
	OtherTokens string `json:"other_tokens"`

	Signing Signing `json:"signing"`
	Redis   Redis   `json:"redis"`

	// Prefix is the start of every key in Redis. Unset means "m2m:", the host of the
	// issuer, and a colon.
	Prefix string `json:"prefix"`

	Cache        Cache    `json:"cache"`
	Organization Relation `json:"organization"`
	User         Relation `json:"user"`

	// AllowAuthorizationClaims allows claims by which APIs decide what a caller may do,
	// such as roles. False refuses them.
	AllowAuthorizationClaims bool `json:"allow_authorization_claims"`

	// Claims are the claims to add. Without a workflow, there is at least one.
	Claims []Claim `json:"claims"`

	// Workflow is code that computes further claims. Without a path there is none.
	Workflow Workflow `json:"workflow"`

	// Fingerprint names the configuration in public. It covers no field that may have
	// a secret, because one could guess the secret by it. Two configurations that
	// differ only in secrets have the same.
	Fingerprint [sha256.Size]byte `json:"-"`

	// Identity covers the secrets, too. It differs between any two configurations, and
	// must not be shown.
	Identity [sha256.Size]byte `json:"-"`

	// Unknown are the fields whose values the configuration's file doesn't have. They
	// have their defaults. A running configuration has none.
	Unknown []UnknownField `json:"-"`
}

// Knows reports whether the field at path, all around it and all in it are known.
func (c *Config) Knows(path string) bool {
	for _, u := range c.Unknown {
		if within(path, u.Path) || within(u.Path, path) {
			return false
		}
	}
	return true
}

// Signing is about the gateway's own keys.
type Signing struct {
	// JWKSFile is a file with a private JWK set or PEM keys. The first key signs, all
	// are published. Exactly one of JWKSFile and JWKS is set.
	JWKSFile string `json:"jwks_file"`

	// JWKS is the content of such a file.
	JWKS Secret `json:"jwks"`

	// Issuer is the iss of enriched tokens. Empty means that the provider's stays.
	Issuer string `json:"issuer"`

	// Profile is ProfileRFC9068 or empty. ProfileRFC9068 gives enriched tokens the typ
	// at+jwt and the claim client_id, and sub if the provider's token has none. It needs
	// Issuer.
	Profile string `json:"profile"`

	// MaxTTL limits the life of an enriched token, in seconds. Zero means that the
	// provider's exp stays.
	MaxTTL int `json:"max_ttl"`

	// JWKSPath is where the public keys are published. Unset means /m2m/jwks.json.
	JWKSPath string `json:"jwks_path"`

	// JWKSMaxAge is how long APIs may cache the published keys, in seconds. Unset means
	// 300.
	JWKSMaxAge int `json:"jwks_max_age"`
}

// Cache limits the cache of records in the plugin's process. Times are in seconds.
type Cache struct {
	// TTL is how long a record is served without asking Redis. Unset means 30, zero
	// asks for every token.
	TTL int `json:"ttl"`

	// NegativeTTL is how long a record counts as missing without asking again. Unset
	// means 5.
	NegativeTTL int `json:"negative_ttl"`

	// StaleTTL is how much longer a record is served while Redis is down. Unset means
	// 300, zero stops at TTL.
	StaleTTL int `json:"stale_ttl"`

	// MaxEntries and MaxBytes limit all records together. Unset means 10,000 records
	// and 64 MiB.
	MaxEntries int `json:"max_entries"`
	MaxBytes   int `json:"max_bytes"`

	// Invalidation makes Redis report every change, so that it takes effect at once.
	// False means that it takes effect after TTL.
	Invalidation bool `json:"invalidation"`
}

// Relation leads from the application or its token to the organization or the user.
type Relation struct {
	// From are the sources of the record's identifier, each as application.KEY or
	// token.PATH. The first that has a value counts.
	From []string `json:"from"`

	// TokenClaim is the path to a claim of the provider's token. If the token has it,
	// it must agree. Empty means none.
	TokenClaim []string `json:"token_claim"`
}

// Claim is one claim to add. Exactly one of From, Value and Expr is set.
type Claim struct {
	Name string `json:"name"`

	// From is a property of a record, as application.KEY, organization.KEY or user.KEY,
	// or a claim of the provider's verified token, as token.PATH.
	From string `json:"from"`

	// Value is a fixed value.
	Value string `json:"value"`

	// Expr is an expression in CEL that computes the value.
	Expr string `json:"expr"`

	// Type is what the text becomes in the token, or the type that Expr gives. Unset
	// means TypeString.
	Type string `json:"type"`

	// Default is the value if the property, or one that Expr reads, is missing. Nil
	// means that it is required.
	Default *string `json:"default"`

	// Reads are the sources that Expr reads, as [Source] splits them. They are known
	// after enrich.Complete.
	Reads []string `json:"-"`
}

// Choices of fields.
const (
	ModeEnforce    = "enforce"
	ModeObserve    = "observe"
	PolicyStop     = "stop"
	PolicyContinue = "continue"

	UnverifiedRefuse = "refuse"
	UnverifiedPass   = "pass"

	OtherTokensDrop   = "drop"   // an enriched answer is sent without them
	OtherTokensKeep   = "keep"   // they stay
	OtherTokensRefuse = "refuse" // the client gets an OAuth error
)

// MaxClaims is how many claims may be added: by the configuration, and by a workflow
// beside them.
const MaxClaims = 100

// ProfileRFC9068 is the profile for JWT access tokens.
const ProfileRFC9068 = "rfc9068"

// Algorithms are the algorithms that a provider may sign with, all asymmetric.
// Ed25519 and EdDSA are the same (RFC 9864, section 2.2).
var Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}

// Types of a claim.
const (
	TypeString  = "string"
	TypeNumber  = "number"
	TypeBoolean = "boolean"
	TypeStrings = "strings" // comma-separated text becomes an array of strings
	TypeJSON    = "json"
)

// EnforcesAll reports whether every application is enforced. Then a request can be
// refused before its application is known.
func (c *Config) EnforcesAll() bool { return c.Mode == ModeEnforce && c.EnforceShare == 100 }

// Enforces reports whether the application clientID is enforced, not only observed.
// A share has the same applications at every gateway, and a larger share has those
// of a smaller one, too.
func (c *Config) Enforces(clientID string) bool {
	if c.Mode != ModeEnforce || c.EnforceShare == 100 {
		return c.Mode == ModeEnforce
	}
	if clientID == "" {
		return false
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(clientID)) // it never fails
	return int(hash.Sum32()%100) < c.EnforceShare
}

// Sources are all sources that the configuration names, as [Source] splits them. A
// workflow may read every property.
func (c *Config) Sources() []string {
	sources := slices.Concat(c.Organization.From, c.User.From)
	for _, claim := range c.Claims {
		sources = append(sources, claim.sources()...)
	}
	if c.HasWorkflow() {
		for _, kind := range Kinds {
			sources = append(sources, string(kind))
		}
	}
	return sources
}

// sources are those that the claim is taken from.
func (c Claim) sources() []string {
	if c.Expr != "" {
		return c.Reads
	}
	return []string{c.From}
}

// Uses reports whether a claim is taken from a record of kind.
func (c *Config) Uses(kind Kind) bool {
	return slices.ContainsFunc(c.Claims, func(claim Claim) bool {
		return slices.ContainsFunc(claim.sources(), func(source string) bool {
			of, _ := Source(source)
			return of == kind
		})
	})
}
