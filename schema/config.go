// Package schema defines what an operator may write: the plugin's
// configuration, with its defaults and its rules, and the records in Redis. It
// decides what is valid, imports the standard library only and does no I/O.
package schema

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Config is one complete configuration of the plugin: defaults are filled in
// and every rule holds. It must not be modified; it may be shared.
type Config struct {
	Mode          string `json:"mode"`           // ModeEnforce or ModeObserve
	EnforceShare  int    `json:"enforce_share"`  // percent of the applications that ModeEnforce is for
	FailurePolicy string `json:"failure_policy"` // PolicyStop or PolicyContinue
	Timeout       int    `json:"timeout"`        // ms, everything that a handler waits for together

	Issuer                   string   `json:"issuer"`                // compared exactly with iss
	JWKSURI                  string   `json:"jwks_uri"`              // empty: from the issuer's discovery document
	Algorithms               []string `json:"algorithms"`            // accepted from the provider
	Leeway                   int      `json:"leeway"`                // s
	ClientIDClaim            []string `json:"client_id_claim"`       // path into the verified token
	ManagementAudiences      []string `json:"management_audiences"`  // derived for a *.kinde.com issuer
	RejectMixedAudience      bool     `json:"reject_mixed_audience"` // with a management audience
	MaxTokenSize             int      `json:"max_token_size"`        // bytes of the compact token
	Signing                  Signing  `json:"signing"`
	Redis                    Redis    `json:"redis"`
	Prefix                   string   `json:"prefix"` // of every key; derived from the issuer's host
	Cache                    Cache    `json:"cache"`
	Organization             Relation `json:"organization"`
	User                     Relation `json:"user"`
	AllowAuthorizationClaims bool     `json:"allow_authorization_claims"` // roles, groups and the like may be set
	Claims                   []Claim  `json:"claims"`

	// Fingerprint names the configuration, also where everybody reads it: it
	// covers no field that may have a secret, because a secret could be guessed
	// by it. Two that are written alike have the same.
	Fingerprint [sha256.Size]byte `json:"-"`

	// Identity covers the secrets, too: two that aren't written alike have
	// another one. It must not be shown.
	Identity [sha256.Size]byte `json:"-"`
}

// Signing says with which keys tokens are signed and how the keys are
// published.
type Signing struct {
	JWKSFile   string `json:"jwks_file"` // private JWK set or PEM; one of JWKSFile and JWKS
	JWKS       Secret `json:"jwks"`      // the same, inline
	Issuer     string `json:"issuer"`    // empty: the provider's iss stays
	MaxTTL     int    `json:"max_ttl"`   // s; 0: the provider's exp stays
	JWKSPath   string `json:"jwks_path"`
	JWKSMaxAge int    `json:"jwks_max_age"` // s
}

// Redis is Kong's record of Redis: one server, the master that Sentinel names,
// or a cluster. Times are in milliseconds.
type Redis struct {
	Host string `json:"host"`
	Port int    `json:"port"`

	SentinelMaster   string `json:"sentinel_master"`
	SentinelNodes    []Node `json:"sentinel_nodes"`
	SentinelUsername string `json:"sentinel_username"`
	SentinelPassword Secret `json:"sentinel_password"`

	ClusterNodes           []ClusterNode `json:"cluster_nodes"` // some of them; the others are found
	ClusterMaxRedirections int           `json:"cluster_max_redirections"`

	Username string `json:"username"`
	Password Secret `json:"password"`
	Database int    `json:"database"`

	Timeout        int `json:"timeout"`         // of each of the three that is unset
	ConnectTimeout int `json:"connect_timeout"` // TLS included
	SendTimeout    int `json:"send_timeout"`
	ReadTimeout    int `json:"read_timeout"`
	PoolSize       int `json:"keepalive_pool_size"` // connections in use at once

	SSL         bool   `json:"ssl"`
	SSLVerify   bool   `json:"ssl_verify"`
	ServerName  string `json:"server_name"`   // empty: the host that is connected to
	SSLCAFile   string `json:"ssl_ca_file"`   // PEM; empty: the system's
	SSLCertFile string `json:"ssl_cert_file"` // PEM; empty: no client certificate
	SSLKeyFile  string `json:"ssl_key_file"`
}

// DefaultRedis is a server on this machine with every default.
func DefaultRedis() Redis {
	complete, _ := redisField().Complete("redis", map[string]any{"host": "127.0.0.1"})
	text, _ := json.Marshal(complete)
	var r Redis
	_ = json.Unmarshal(text, &r) // the schema is what the type is, which a test holds
	r.derive()
	return r
}

// derive fills the timeouts that are unset.
func (r *Redis) derive() {
	r.ConnectTimeout = cmp.Or(r.ConnectTimeout, r.Timeout)
	r.SendTimeout = cmp.Or(r.SendTimeout, r.Timeout)
	r.ReadTimeout = cmp.Or(r.ReadTimeout, r.Timeout)
}

// Node is the address of a sentinel.
type Node struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// ClusterNode is the address of a server of a cluster. Kong calls it so.
type ClusterNode struct {
	IP   string `json:"ip"`
	Port int    `json:"port"`
}

// Cache bounds the in-process tier in front of Redis. Times are in seconds.
type Cache struct {
	TTL         int `json:"ttl"`          // a record is served without asking Redis
	NegativeTTL int `json:"negative_ttl"` // "no such record" likewise
	StaleTTL    int `json:"stale_ttl"`    // beyond TTL, while Redis doesn't answer
	MaxEntries  int `json:"max_entries"`
	MaxBytes    int `json:"max_bytes"` // of all records together, keys and names included

	// Invalidation makes Redis tell of every change to a record.
	Invalidation bool `json:"invalidation"`
}

// Relation says which property of the application names a related record, and
// which claim of the provider's token must agree with it if it is there.
type Relation struct {
	From       string   `json:"from"`        // application.KEY
	TokenClaim []string `json:"token_claim"` // path; empty: none
}

// Claim is one claim to add: from a property of a record or with a fixed
// value, exactly one of the two.
type Claim struct {
	Name    string  `json:"name"`
	From    string  `json:"from"` // application.KEY, organization.KEY or user.KEY
	Value   string  `json:"value"`
	Type    string  `json:"type"`
	Default *string `json:"default"` // nil: the property is required
}

// Modes and failure policies.
const (
	ModeEnforce    = "enforce"
	ModeObserve    = "observe"
	PolicyStop     = "stop"
	PolicyContinue = "continue"
)

// Algorithms are those that a provider may sign with: asymmetric ones only.
var Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Types of a claim.
const (
	TypeString  = "string"
	TypeNumber  = "number"
	TypeBoolean = "boolean"
	TypeStrings = "strings" // comma-separated text becomes an array of strings
	TypeJSON    = "json"
)

// ParseInstance decodes a configuration as Kong delivers it in start_instance:
// complete but for what the operator left unset, and with members of Kong's
// own beside it, which are ignored. The error joins every mistake.
func ParseInstance(data []byte) (*Config, error) {
	var given map[string]any
	if err := json.Unmarshal(data, &given); err != nil {
		return nil, fmt.Errorf("decode the configuration: %w", err)
	}
	known := Fields(root().Fields)
	maps.DeleteFunc(given, func(name string, _ any) bool {
		return !slices.ContainsFunc(known, func(f Field) bool { return f.Name == name })
	})
	dropKongs(given)
	return Parse(given)
}

// dropKongs removes what Kong puts beside the operator's fields, such as the
// "$refs" of vault references.
func dropKongs(record map[string]any) {
	maps.DeleteFunc(record, func(name string, _ any) bool {
		return strings.HasPrefix(name, "$") || strings.HasPrefix(name, "__")
	})
	for _, v := range record {
		if sub, ok := v.(map[string]any); ok {
			dropKongs(sub)
		}
	}
}

// Parse decodes a configuration as an operator writes it. given has the shapes
// that encoding/json gives to an any. The error joins every error, each a
// [*FieldError]. With an error, the configuration must not be used. It has the
// zero value where a field can't be read, and is nil only if nothing can.
func Parse(given any) (*Config, error) {
	r := &report{}
	complete := r.field(root(), "config", given)
	canonical, err := json.Marshal(complete) // map keys are sorted
	if err != nil {
		return nil, errors.Join(r.err(), fmt.Errorf("encode the configuration: %w", err))
	}
	public, err := json.Marshal(root().public(complete))
	if err != nil {
		return nil, errors.Join(r.err(), fmt.Errorf("encode the configuration: %w", err))
	}
	cfg := &Config{Fingerprint: sha256.Sum256(public), Identity: sha256.Sum256(canonical)}
	if err := json.Unmarshal(canonical, cfg); err != nil {
		return nil, errors.Join(r.err(), fmt.Errorf("decode the configuration: %w", err))
	}
	cfg.derive()
	cfg.validate(r)
	return cfg, r.err()
}

// derive fills what has a default that depends on another field.
func (c *Config) derive() {
	c.Redis.derive()
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" {
		return
	}
	if c.Prefix == "" {
		c.Prefix = derivedPrefix(u)
	}
	if c.ManagementAudiences == nil && strings.HasSuffix(strings.ToLower(u.Hostname()), ".kinde.com") {
		c.ManagementAudiences = []string{"https://" + strings.ToLower(u.Host) + "/api"}
	}
}

// EnforcesAll tells whether every application is enforced, so that a request
// whose application isn't known yet can be refused.
func (c *Config) EnforcesAll() bool { return c.Mode == ModeEnforce && c.EnforceShare == 100 }

// Enforces tells whether the application that clientID names is enforced, not
// only observed. A share has the same applications at every gateway, and a
// larger one has those of a smaller one too.
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

// Uses tells whether a claim is taken from a record of kind.
func (c *Config) Uses(kind Kind) bool {
	return slices.ContainsFunc(c.Claims, func(claim Claim) bool {
		return strings.HasPrefix(claim.From, string(kind)+".")
	})
}
