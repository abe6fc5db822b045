package schema

import "slices"

// PluginSchema is the schema that the query command gives to Kong.
type PluginSchema struct {
	Name   string `json:"name"`
	Fields Fields `json:"fields"`
}

// ForKong returns the schema of the plugin called name. The plugin can't be
// attached to a consumer, because nobody is authenticated on a token route yet. It
// serves HTTP only.
func ForKong(name string) PluginSchema {
	return PluginSchema{Name: name, Fields: Fields{
		{Name: "consumer", Type: "foreign", Reference: "consumers", Eq: &null{}},
		{Name: "protocols", Type: "set", Required: true, Default: []any{"http", "https"},
			Elements: &Field{Type: "string", OneOf: []string{"http", "https"}}},
		root(),
	}}
}

const (
	day  = 86400
	year = 365 * day

	maxNodes = 100 // in a list of sentinels or of servers of a cluster
)

// root is the config record, with the default and Kong's own rules of each field.
func root() Field {
	return Field{Name: "config", Type: "record", Required: true, EntityChecks: []EntityCheck{{AtLeastOneOf: []string{"claims", "workflow"}}}, Fields: Fields{
		{Name: "mode", Type: "string", Default: ModeEnforce, OneOf: []string{ModeEnforce, ModeObserve},
			Description: "With observe, the plugin decides and logs everything, but the client receives the provider's own answer."},
		{Name: "enforce_share", Type: "integer", Default: 100, Between: []int{0, 100},
			Description: "Percentage of the applications that are enforced, chosen by client id; the others are only observed."},
		{Name: "failure_policy", Type: "string", Default: PolicyStop, OneOf: []string{PolicyStop, PolicyContinue},
			Description: "What a client receives when its token can't be enriched: an OAuth error, or the provider's token unchanged."},
		{Name: "timeout", Type: "integer", Default: 1000, Between: []int{1, 50000},
			Description: "Milliseconds that one request may wait for lookups and the provider's keys, all together."},
		{Name: "issuer", Type: "string", Required: true,
			Description: "The provider's issuer. The iss claim of every token must be exactly this, or one of issuers_allowed."},
		{Name: "issuers_allowed", Type: "array", LenMax: 100,
			Description: "Further values of iss that the same provider writes and signs with the same keys. Keys and metadata come from issuer and jwks_uri alone.",
			Elements:    &Field{Type: "string"}},
		{Name: "jwks_uri", Type: "string",
			Description: "Where the provider publishes its keys: https, or http on loopback. Unset: as its discovery document says."},
		{Name: "jwks_insecure_http", Type: "boolean", Default: false,
			Description: "Allow jwks_uri, and no other URL, to be plain http, as inside a cluster. Whoever is on the way can then replace the provider's keys."},
		{Name: "algorithms", Type: "array", Default: []any{"RS256"}, LenMin: atLeast(1),
			Description: "Signature algorithms that are accepted from the provider; asymmetric ones only.",
			Elements:    &Field{Type: "string", OneOf: Algorithms}},
		{Name: "leeway", Type: "integer", Default: 60, Between: []int{0, 600},
			Description: "Seconds by which the clocks of the provider and the gateway may differ."},
		{Name: "client_id_claim", Type: "array", LenMin: atLeast(1),
			Description: "Path to the claim of the verified token that names the application. Unset: azp, client_id, appid and cid, which must agree.",
			Elements:    &Field{Type: "string"}},
		{Name: "management_audiences", Type: "array",
			Description: "Audiences whose tokens pass unchanged. Unset: https://HOST/api for a *.kinde.com issuer, otherwise required; [] for none.",
			Elements:    &Field{Type: "string"}},
		{Name: "reject_mixed_audience", Type: "boolean", Default: false,
			Description: "Refuse a token for both the management API and another audience, instead of passing it unchanged."},
		{Name: "unverified_management", Type: "string", Default: UnverifiedRefuse, OneOf: []string{UnverifiedRefuse, UnverifiedPass},
			Description: "With pass, a token that can't be verified passes unchanged if all its audiences are management audiences, as those for Microsoft Graph."},
		{Name: "max_token_size", Type: "integer", Default: 7168, Between: []int{512, 65536},
			Description: "Largest size of an enriched token, in bytes. Most servers accept header lines up to 8 kB."},
		{Name: "other_tokens", Type: "string", Default: OtherTokensDrop, OneOf: []string{OtherTokensDrop, OtherTokensKeep, OtherTokensRefuse},
			Description: "What happens to an ID token or a refresh token beside an M2M access token: enriched answers are sent without it, or with it, or the answer is refused."},
		signingField(), redisField(),
		{Name: "prefix", Type: "string", LenMax: 256,
			Description: "Start of every key in Redis. Ends in a separator such as a colon; no part before a colon is app, org, user or written. Unset: m2m:, the issuer's host and a colon."},
		cacheField(),
		relationField("organization", []any{"application.org_code", "token.org_code"}, []any{"org_code"}),
		relationField("user", []any{"application.user_id"}, []any{}),
		{Name: "allow_authorization_claims", Type: "boolean", Default: false,
			Description: "Allow claims such as roles, groups or permissions, by which many APIs decide what a caller may do."},
		{Name: "claims", Type: "array", LenMin: atLeast(1), LenMax: MaxClaims,
			Description: "The claims to add.", Elements: claimField()},
		workflowField(),
	}}
}

func signingField() Field {
	return Field{Name: "signing", Type: "record", Required: true,
		Description:  "The gateway's own keys and how they are published.",
		EntityChecks: []EntityCheck{{OnlyOneOf: []string{"jwks_file", "jwks"}}},
		Fields: Fields{
			{Name: "jwks_file", Type: "string",
				Description: "File with a private JWK set or PEM keys: the first signs, all are published. Readable by the user that Kong runs as."},
			{Name: "jwks", Type: "string", Referenceable: true, Encrypted: true,
				Description: "The content of such a file, for a vault reference."},
			{Name: "issuer", Type: "string",
				Description: "The iss of enriched tokens. Unset: the provider's stays."},
			{Name: "profile", Type: "string", OneOf: []string{ProfileRFC9068},
				Description: "rfc9068: enriched tokens have the typ at+jwt and client_id, and the client id as sub if they have no sub. Needs signing.issuer."},
			{Name: "max_ttl", Type: "integer", Between: []int{1, year},
				Description: "Longest life of an enriched token, in seconds. It never outlives the provider's. Unset: the provider's exp stays."},
			{Name: "jwks_path", Type: "string", Default: "/m2m/jwks.json", StartsWith: "/",
				Description: "Path at which the gateway's public keys are published."},
			{Name: "jwks_max_age", Type: "integer", Default: 300, Between: []int{0, day},
				Description: "Seconds for which APIs may cache the published keys."},
		}}
}

func redisField() Field {
	return Field{Name: "redis", Type: "record", Required: true,
		Description: "The Redis that has the records: one server, a master that Sentinel names, or a cluster.",
		EntityChecks: []EntityCheck{
			{OnlyOneOf: []string{"host", "sentinel_master", "cluster_nodes"}},
			{MutuallyRequired: []string{"sentinel_master", "sentinel_nodes"}},
			{MutuallyRequired: []string{"ssl_cert_file", "ssl_key_file"}},
		},
		Fields: slices.Concat(redisAddressFields(), redisUserFields(), redisTimeoutFields(), redisTLSFields())}
}

func redisAddressFields() Fields {
	port := Field{Name: "port", Type: "integer", Default: 6379, Between: []int{0, 65535}, Description: "Port of the server."}
	host := Field{Name: "host", Type: "string", Description: "Host name or address of the server."}
	node := func(name string) *Field {
		return &Field{Type: "record", Fields: Fields{{Name: name, Type: "string", Required: true, Description: host.Description}, port}}
	}
	return Fields{
		host, port,
		{Name: "sentinel_master", Type: "string", Description: "Name of the master at the sentinels. Unset: no Sentinel."},
		{Name: "sentinel_nodes", Type: "array", LenMin: atLeast(1), LenMax: maxNodes, Elements: node("host"),
			Description: "Some of the sentinels; they name the others."},
		{Name: "sentinel_username", Type: "string", Referenceable: true, Description: "ACL user at the sentinels. Unset: the default user."},
		{Name: "sentinel_password", Type: "string", Referenceable: true, Encrypted: true, LenMin: atLeast(0),
			Description: "Password at the sentinels. Unset: none is sent."},
		{Name: "cluster_nodes", Type: "array", LenMin: atLeast(1), LenMax: maxNodes, Elements: node("ip"),
			Description: "Some servers of a cluster; they name the others."},
		{Name: "cluster_max_redirections", Type: "integer", Default: 5, Between: []int{1, 16},
			Description: "How often a lookup in a cluster may be redirected to another server."},
	}
}

func redisUserFields() Fields {
	return Fields{
		{Name: "username", Type: "string", Referenceable: true, Description: "ACL user. Unset: the default user."},
		{Name: "password", Type: "string", Referenceable: true, Encrypted: true, LenMin: atLeast(0),
			Description: "Password of the user. Unset: none is sent."},
		{Name: "database", Type: "integer", Default: 0, Between: []int{0, 65535}, Description: "Number of the database; 0 in a cluster."},
	}
}

func redisTimeoutFields() Fields {
	limits := []int{1, 50000}
	return Fields{
		{Name: "timeout", Type: "integer", Default: 500, Between: limits, Description: "Milliseconds to connect, to send and to receive, each."},
		{Name: "connect_timeout", Type: "integer", Between: limits, Description: "Milliseconds to connect, TLS included. Unset: timeout."},
		{Name: "send_timeout", Type: "integer", Between: limits, Description: "Milliseconds to send a command. Unset: timeout."},
		{Name: "read_timeout", Type: "integer", Between: limits, Description: "Milliseconds to receive an answer. Unset: timeout."},
		{Name: "keepalive_pool_size", Type: "integer", Default: 64, Between: []int{1, 65535},
			Description: "Largest number of connections to each server, in use or kept open."},
	}
}

func redisTLSFields() Fields {
	return Fields{
		{Name: "ssl", Type: "boolean", Default: false, Description: "Connect with TLS, to sentinels too."},
		{Name: "ssl_verify", Type: "boolean", Default: true, Description: "Verify the server's certificate and its name."},
		{Name: "server_name", Type: "string", Description: "Name in the server's certificate. Unset: the host that is connected to."},
		{Name: "ssl_ca_file", Type: "string", Description: "PEM file with the certificates of the CAs to trust. Unset: the system's."},
		{Name: "ssl_cert_file", Type: "string", Description: "PEM file with the client's certificate, for mutual TLS."},
		{Name: "ssl_key_file", Type: "string", Description: "PEM file with the key of the client's certificate."},
	}
}

func cacheField() Field {
	return Field{Name: "cache", Type: "record", Required: true,
		Description: "The cache of records in the plugin's process.",
		Fields: Fields{
			{Name: "ttl", Type: "integer", Default: 30, Between: []int{0, day},
				Description: "Seconds for which a record is served without asking Redis."},
			{Name: "negative_ttl", Type: "integer", Default: 5, Between: []int{0, day},
				Description: "Seconds for which a missing record counts as missing."},
			{Name: "stale_ttl", Type: "integer", Default: 300, Between: []int{0, day},
				Description: "Further seconds for which a record is served while Redis is down."},
			{Name: "max_entries", Type: "integer", Default: 10000, Between: []int{1, 10000000},
				Description: "Largest number of cached records."},
			{Name: "max_bytes", Type: "integer", Default: 64 << 20, Between: []int{1 << 16, 1 << 40},
				Description: "Memory for the cached records, in bytes."},
			{Name: "invalidation", Type: "boolean", Default: false,
				Description: "Have Redis report every change to a record, so it takes effect at once. Needs Redis 6 or later."},
		}}
}

func relationField(name string, from, tokenClaim []any) Field {
	return Field{Name: name, Type: "record", Required: true,
		Description: "Which property of the application or claim of the token names the " + name + ", and which claim must agree.",
		Fields: Fields{
			{Name: "from", Type: "array", Default: from, LenMin: atLeast(1), LenMax: 10, Elements: &Field{Type: "string"},
				Description: "Where to look for the identifier of the " + name + ", each application.KEY or token.PATH; the first that has a value counts."},
			{Name: "token_claim", Type: "array", Default: tokenClaim, Elements: &Field{Type: "string"},
				Description: "Path to a claim of the provider's token that must agree if the token has it; [] for none."},
		}}
}

func claimField() *Field {
	return &Field{Type: "record",
		EntityChecks: []EntityCheck{
			{OnlyOneOf: []string{"from", "value", "expr"}},
			{MutuallyExclusive: []string{"value", "default"}},
		},
		Fields: Fields{
			{Name: "name", Type: "string", Required: true, LenMax: 256, Description: "Name of the claim in the token."},
			{Name: "from", Type: "string", Description: "What gives the value: the property application.KEY, organization.KEY or user.KEY, or the claim token.PATH."},
			{Name: "value", Type: "string", LenMax: 4096, Description: "A fixed value, written as text of the type."},
			{Name: "expr", Type: "string", LenMax: MaxExpressionSize,
				Description: "An expression in CEL that computes the value, over application, organization, user, token and event."},
			{Name: "type", Type: "string", Default: TypeString, OneOf: []string{TypeString, TypeNumber, TypeBoolean, TypeStrings, TypeJSON},
				Description: "What the text becomes in the token, or the type that expr gives; strings is a comma-separated list."},
			{Name: "default", Type: "string", LenMin: atLeast(0), LenMax: 4096,
				Description: "Value when the property, or one that expr reads, is missing. Without it the property is required."},
		}}
}

func atLeast(n int) *int { return &n }
