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
// every rule holds. It must not be modified; it may be shared. A field without a
// default has its zero value if it is unset.
type Config struct {
	Mode                 string   `json:"mode" default:"enforce" one_of:"enforce,observe" description:"With observe, the plugin decides and logs everything, but the client receives the provider's own answer."`
	EnforceShare         int      `json:"enforce_share" default:"100" between:"0,100" description:"Percentage of the applications that are enforced, chosen by client id; the others are only observed."`
	FailurePolicy        string   `json:"failure_policy" default:"stop" one_of:"stop,continue" description:"What a client receives when its token can't be enriched: an OAuth error, or the provider's token unchanged."`
	Timeout              int      `json:"timeout" default:"1000" between:"1,50000" description:"Milliseconds that one request may wait for lookups and the provider's keys, all together."`
	Issuer               string   `json:"issuer" required:"true" description:"The provider's issuer. The iss claim of every token must be exactly this, or one of issuers_allowed."`
	IssuersAllowed       []string `json:"issuers_allowed" len_max:"100" description:"Further values of iss that the same provider writes and signs with the same keys. Keys and metadata come from issuer and jwks_uri alone."`
	JWKSURI              string   `json:"jwks_uri" description:"Where the provider publishes its keys: https, or http on loopback. Unset: as its discovery document says."`
	JWKSInsecureHTTP     bool     `json:"jwks_insecure_http" default:"false" description:"Allow jwks_uri, and no other URL, to be plain http, as inside a cluster. Whoever is on the way can then replace the provider's keys."`
	Algorithms           []string `json:"algorithms" default:"RS256" one_of:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA,Ed25519" len_min:"1" description:"Signature algorithms that are accepted from the provider; asymmetric ones only."`
	Leeway               int      `json:"leeway" default:"60" between:"0,600" description:"Seconds by which the clocks of the provider and the gateway may differ."`
	ClientIDClaim        []string `json:"client_id_claim" len_min:"1" description:"Path to the claim of the verified token that names the application. Unset: azp, client_id, appid and cid, which must agree."`
	ManagementAudiences  []string `json:"management_audiences" description:"Audiences whose tokens pass unchanged. Unset: https://HOST/api for a *.kinde.com issuer, otherwise required; [] for none."`
	RejectMixedAudience  bool     `json:"reject_mixed_audience" default:"false" description:"Refuse a token for both the management API and another audience, instead of passing it unchanged."`
	UnverifiedManagement string   `json:"unverified_management" default:"refuse" one_of:"refuse,pass" description:"With pass, a token that can't be verified passes unchanged if all its audiences are management audiences, as those for Microsoft Graph."`
	MaxTokenSize         int      `json:"max_token_size" default:"7168" between:"512,65536" description:"Largest size of an enriched token, in bytes. Most servers accept header lines up to 8 kB."`

	// The ID token's at_hash doesn't fit an enriched token, and the refresh token would
	// bring a raw one.
	OtherTokens string `json:"other_tokens" default:"drop" one_of:"drop,keep,refuse" description:"What happens to an ID token or a refresh token beside an M2M access token: enriched answers are sent without it, or with it, or the answer is refused."`

	Signing                  Signing  `json:"signing" required:"true" description:"The gateway's own keys and how they are published."`
	Redis                    Redis    `json:"redis" required:"true" description:"The Redis that has the records: one server, a master that Sentinel names, or a cluster."`
	Prefix                   string   `json:"prefix" len_max:"256" description:"Start of every key in Redis. Ends in a separator such as a colon; no part before a colon is app, org, user, written or reuse. Unset: m2m:, the issuer's host and a colon."`
	Cache                    Cache    `json:"cache" required:"true" description:"The cache of records in the plugin's process."`
	Organization             Relation `json:"organization" required:"true" from:"application.org_code,token.org_code" token_claim:"org_code" description:"Which property of the application or claim of the token names the organization, and which claim must agree."`
	User                     Relation `json:"user" required:"true" from:"application.user_id" token_claim:"" description:"Which property of the application or claim of the token names the user, and which claim must agree."`
	AllowAuthorizationClaims bool     `json:"allow_authorization_claims" default:"false" description:"Allow claims such as roles, groups or permissions, by which many APIs decide what a caller may do."`
	Claims                   []Claim  `json:"claims" len_min:"1" len_max:"100" description:"The claims to add."`
	Workflow                 Workflow `json:"workflow" description:"Code that computes further claims, in the form of a Kinde workflow for M2M tokens. Unset: none."`
	Reuse                    Reuse    `json:"reuse" required:"true" description:"Answer a repeated request with the enriched token that the gateway issued for it, without asking the provider."`

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

// Signing is about the gateway's own keys. Exactly one of JWKSFile and JWKS is set.
type Signing struct {
	JWKSFile   string `json:"jwks_file" description:"File with a private JWK set or PEM keys: the first signs, all are published. Readable by the user that Kong runs as."`
	JWKS       Secret `json:"jwks" description:"The content of such a file, for a vault reference."`
	Issuer     string `json:"issuer" description:"The iss of enriched tokens. Unset: the provider's stays."`
	Profile    string `json:"profile" one_of:"rfc9068" description:"rfc9068: enriched tokens have the typ at+jwt and client_id, and the client id as sub if they have no sub. Needs signing.issuer."`
	MaxTTL     int    `json:"max_ttl" between:"1,31536000" description:"Longest life of an enriched token, in seconds. It never outlives the provider's. Unset: the provider's exp stays."`
	JWKSPath   string `json:"jwks_path" default:"/m2m/jwks.json" starts_with:"/" description:"Path at which the gateway's public keys are published."`
	JWKSMaxAge int    `json:"jwks_max_age" default:"300" between:"0,86400" description:"Seconds for which APIs may cache the published keys."`
}

// Cache limits the cache of records in the plugin's process. A TTL of zero asks Redis
// for every token, a StaleTTL of zero serves nothing after TTL. Without Invalidation, a
// change takes effect after TTL.
type Cache struct {
	TTL          int  `json:"ttl" default:"30" between:"0,86400" description:"Seconds for which a record is served without asking Redis."`
	NegativeTTL  int  `json:"negative_ttl" default:"5" between:"0,86400" description:"Seconds for which a missing record counts as missing."`
	StaleTTL     int  `json:"stale_ttl" default:"300" between:"0,86400" description:"Further seconds for which a record is served while Redis is down."`
	MaxEntries   int  `json:"max_entries" default:"10000" between:"1,10000000" description:"Largest number of cached records."`
	MaxBytes     int  `json:"max_bytes" default:"67108864" between:"65536,1099511627776" description:"Memory for the cached records, in bytes."`
	Invalidation bool `json:"invalidation" default:"false" description:"Have Redis report every change to a record, so it takes effect at once. Needs Redis 6 or later."`
}

// Relation leads from the application or its token to the organization or the user.
type Relation struct {
	From       []string `json:"from" len_min:"1" len_max:"10" description:"Where to look for the identifier of the NAME, each application.KEY or token.PATH; the first that has a value counts."`
	TokenClaim []string `json:"token_claim" description:"Path to a claim of the provider's token that must agree if the token has it; [] for none."`
}

// Claim is one claim to add. Exactly one of From, Value and Expr is set.
type Claim struct {
	Name    string  `json:"name" required:"true" len_max:"256" description:"Name of the claim in the token."`
	From    string  `json:"from" description:"What gives the value: the property application.KEY, organization.KEY or user.KEY, or the claim token.PATH."`
	Value   string  `json:"value" len_max:"4096" description:"A fixed value, written as text of the type."`
	Expr    string  `json:"expr" len_max:"4096" description:"An expression in CEL that computes the value, over application, organization, user, token and event."`
	Type    string  `json:"type" default:"string" one_of:"string,number,boolean,strings,json" description:"What the text becomes in the token, or the type that expr gives; strings is a comma-separated list."`
	Default *string `json:"default" len_min:"0" len_max:"4096" description:"Value when the property, or one that expr reads, is missing. Without it the property is required."`

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
var Algorithms = root().Fields[slices.IndexFunc(root().Fields, func(f Field) bool { return f.Name == "algorithms" })].Elements.OneOf

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
