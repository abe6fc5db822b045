package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// minimal returns the design's minimal configuration as JSON gives it to an
// any, changed by the pairs of path and value; a nil value removes.
func minimal(t *testing.T, changes ...any) map[string]any {
	t.Helper()
	var given map[string]any
	text := `{"issuer": "https://example.kinde.com", "redis": {"host": "redis"},
		"signing": {"jwks_file": "/etc/kong/m2m/keys.json"},
		"claims": [{"name": "org_code", "from": "organization.code"}]}`
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		node, path := given, strings.Split(changes[i].(string), ".")
		for _, name := range path[:len(path)-1] {
			if node[name] == nil {
				node[name] = map[string]any{}
			}
			node = node[name].(map[string]any)
		}
		last := path[len(path)-1]
		if changes[i+1] == nil {
			delete(node, last)
			continue
		}
		node[last] = changes[i+1]
	}
	return given
}

// claims returns a list of one claim made of pairs.
func claim(pairs ...string) []any {
	c := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return []any{c}
}

func TestDefaults(t *testing.T) {
	cfg, err := Parse(minimal(t))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Mode: "enforce", EnforceShare: 100, FailurePolicy: "stop", Timeout: 1000, Issuer: "https://example.kinde.com",
		Algorithms: []string{"RS256"}, Leeway: 60,
		ManagementAudiences: []string{"https://example.kinde.com/api"}, UnverifiedManagement: "refuse", MaxTokenSize: 7168, OtherTokens: "drop",
		Signing: Signing{JWKSFile: "/etc/kong/m2m/keys.json", JWKSPath: "/m2m/jwks.json", JWKSMaxAge: 300},
		Redis: Redis{Host: "redis", Port: 6379, ClusterMaxRedirections: 5, Timeout: 500, ConnectTimeout: 500, SendTimeout: 500, ReadTimeout: 500,
			PoolSize: 64, SSLVerify: true},
		Prefix:       "m2m:example.kinde.com:",
		Cache:        Cache{TTL: 30, NegativeTTL: 5, StaleTTL: 300, MaxEntries: 10000, MaxBytes: 64 << 20},
		Organization: Relation{From: []string{"application.org_code", "token.org_code"}, TokenClaim: []string{"org_code"}},
		User:         Relation{From: []string{"application.user_id"}, TokenClaim: []string{}},
		Claims:       []Claim{{Name: "org_code", From: "organization.code", Type: "string"}},
		Reuse: Reuse{MaxAge: 300, ShareOfLife: 0.75, MinRemaining: 60, MaxEntries: 10000, MaxBytes: 32 << 20, Coalesce: true,
			BypassHeaders: []string{"dpop", "client-cert", "x-forwarded-client-cert"}},
		Fingerprint: cfg.Fingerprint,
		Identity:    cfg.Identity,
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
}

func TestParseInstance(t *testing.T) {
	text, err := os.ReadFile("testdata/delivered.json")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseInstance(text)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Redis.Password != "s3cr3t" || *cfg.Claims[1].Default != "free" || cfg.Prefix != "m2m:example.kinde.com:" {
		t.Errorf("got %+v, want the password s3cr3t, the default free, and the prefix m2m:example.kinde.com:", cfg)
	}
}

// The recording holds another plugin's fields; what matters is that Kong's own
// members beside them disturb nothing.
func TestParseInstanceRecording(t *testing.T) {
	text, err := os.ReadFile("../../shared/kong-3.9.3/start-instance.json")
	if err != nil {
		t.Skip("no recordings of a real Kong beside the repository: ", err)
	}
	var frames []struct{ Data map[string]any }
	if err := json.Unmarshal(text, &frames); err != nil {
		t.Fatal(err)
	}
	delivered := frames[0].Data
	for name, value := range minimal(t) {
		delivered[name] = value
	}
	text, err = json.Marshal(delivered)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseInstance(text)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Redis.Host != "redis" || cfg.Claims[0].Name != "org_code" {
		t.Errorf("got %+v, want the host redis and the claim org_code", cfg)
	}
}

// TestWorkflow: it stands beside the claims or instead of them, and may read every
// property. Its values are secrets.
func TestWorkflow(t *testing.T) {
	text := `{"issuer": "https://example.kinde.com", "redis": {"host": "redis"}, "signing": {"jwks_file": "/k"}, "__seq__": 1,
		"workflow": {"path": "/w", "allow_hosts": [], "env": {"A": "hunter2", "__B": "b", "$refs": {"A": "{vault://env/a}"}}, "$refs": {"env": {"A": "{vault://env/a}"}}}}`
	cfg, err := ParseInstance([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := Workflow{Path: "/w", AllowHosts: []string{}, Env: map[string]Secret{"A": "hunter2", "__B": "b"}}
	if !reflect.DeepEqual(cfg.Workflow, want) || !cfg.HasWorkflow() || len(cfg.Claims) != 0 {
		t.Errorf("got %#v with %d claims, want %#v with none", cfg.Workflow, len(cfg.Claims), want)
	}
	if shown := fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg); strings.Contains(shown, "hunter2") {
		t.Errorf("a value is shown: %s", shown)
	}
	for _, kind := range Kinds {
		if names := NamesOf(cfg); !names.All(kind) || cfg.Uses(kind) {
			t.Errorf("All(%s) = %t, Uses(%s) = %t, want true, and false before it is asked for", kind, names.All(kind), kind, cfg.Uses(kind))
		}
	}
	for _, issuer := range []string{"http://fs.example.com/adfs/services/trust", "https://192.0.2.1:8443/realms/a"} { // plain http is fine: no request leaves
		if _, err := Parse(minimal(t, "workflow.path", "/w", "issuer", issuer, "jwks_uri", "https://a.example/k", "management_audiences", []any{})); err != nil {
			t.Errorf("issuer %s with a workflow: got %v, want no error", issuer, err)
		}
	}
	cfg, err = Parse(minimal(t, "workflow", map[string]any{"path": "/w", "env": map[string]any{}}))
	if err != nil || len(cfg.Workflow.AllowHosts) != 0 || len(cfg.Workflow.Env) != 0 {
		t.Errorf("got %#v, %v, want no host and no value", cfg.Workflow, err)
	}
	many := map[string]any{}
	for i := range 101 {
		many[fmt.Sprint("A", i)] = "x"
	}
	if _, err := Parse(minimal(t, "workflow", map[string]any{"path": "/w", "env": many})); err == nil || !strings.Contains(err.Error(), "config.workflow.env: 101 names, more than 100") {
		t.Errorf("got %v, want an error about 101 names", err)
	}
}

func TestFingerprint(t *testing.T) {
	of := func(changes ...any) string {
		cfg, err := Parse(minimal(t, changes...))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x %x", cfg.Fingerprint, cfg.Identity)
	}
	if of() != of("timeout", 1000.0) {
		t.Error("a default written out changes the fingerprint or the identity")
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	cfg, err := Parse(minimal(t, "redis.password", "hunter2", "signing.jwks_file", nil, "signing.jwks", "hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{string(text), fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg.Redis.Password)} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
}

func TestFieldErrors(t *testing.T) {
	tests := []struct {
		name    string
		changes []any
		want    string
	}{
		{"no issuer", []any{"issuer", nil}, "config.issuer: required field missing"},
		{"unknown field", []any{"colour", "red"}, "config.colour: unknown field"},
		{"wrong kind", []any{"timeout", "1s"}, "config.timeout: expected an integer"},
		{"half", []any{"timeout", 1.5}, "config.timeout: expected an integer"},
		{"out of range", []any{"leeway", 601.0}, "config.leeway: value should be between 0 and 600"},
		{"mode", []any{"mode", "audit"}, "config.mode: expected one of: enforce, observe"},
		{"symmetric algorithm", []any{"algorithms", []any{"HS256"}}, "config.algorithms[0]: expected one of:"},
		{"no algorithm", []any{"algorithms", []any{}}, "config.algorithms: length must be at least 1"},
		{"no claims", []any{"claims", []any{}}, "config.claims: length must be at least 1"},
		{"neither claims nor a workflow", []any{"claims", nil}, "config: at least one of these fields must be non-empty: 'claims', 'workflow'"},
		{"no path", []any{"workflow.allow_hosts", []any{}}, "config.workflow.path: required field missing"},
		{"relative path", []any{"workflow.path", "kinde"}, "config.workflow.path: should start with: /"},
		{"env is no map", []any{"workflow", map[string]any{"path": "/w", "env": []any{}}}, "config.workflow.env: expected a map"},
		{"env has a number", []any{"workflow", map[string]any{"path": "/w", "env": map[string]any{"A": 1.0}}}, "config.workflow.env.A: expected a string"},
		{"env has a null", []any{"workflow", map[string]any{"path": "/w", "env": map[string]any{"A": nil}}}, "config.workflow.env.A: expected a string"},
		{"env has an empty value", []any{"workflow", map[string]any{"path": "/w", "env": map[string]any{"A": ""}}}, "config.workflow.env.A: empty, as a vault reference that can't be resolved is"},
		{"env has a long value", []any{"workflow", map[string]any{"path": "/w", "env": map[string]any{"A": strings.Repeat("a", 16385)}}}, "config.workflow.env.A: length must be at most 16384"},
		{"env name", []any{"workflow", map[string]any{"path": "/w", "env": map[string]any{"A-B": "x"}}}, `config.workflow.env: "A-B" is not a name`},
		{"env name begins with a digit", []any{"workflow", map[string]any{"path": "/w", "env": map[string]any{"1A": "x"}}}, `config.workflow.env: "1A" is not a name`},
		{"no env name", []any{"workflow", map[string]any{"path": "/w", "env": map[string]any{"": "x"}}}, `config.workflow.env: "" is not a name`},
		{"a workflow for an issuer that is no URL", []any{"workflow.path", "/w", "issuer", "acme.com", "prefix", "m2m:a:", "jwks_uri", "https://a.example/k", "management_audiences", []any{}},
			`config.issuer: "acme.com" isn't an https or http URL, and a workflow asks for its records there; let the provider write a URL as issuer, or use claims with expr instead`},
		{"a workflow for an issuer of another scheme", []any{"workflow.path", "/w", "issuer", "urn:a", "prefix", "m2m:a:", "jwks_uri", "https://a.example/k", "management_audiences", []any{}},
			`config.issuer: "urn:a" isn't an https or http URL`},
		{"a workflow for an issuer whose host has two spellings", []any{"workflow.path", "/w", "issuer", "https://bücher.example", "jwks_uri", "https://a.example/k", "management_audiences", []any{}},
			`config.issuer: "https://bücher.example" isn't an https or http URL`},
		{"allowed URL", []any{"workflow", map[string]any{"path": "/w", "allow_hosts": []any{"a.example", "https://a.example"}}}, "config.workflow.allow_hosts[1]: not a host"},
		{"allowed issuer's host", []any{"workflow", map[string]any{"path": "/w", "allow_hosts": []any{"EXAMPLE.kinde.com"}}}, "config.workflow.allow_hosts[0]: the issuer's own host"},
		{"null element", []any{"claims", []any{nil}}, "config.claims[0]: expected a record"},
		{"no redis host", []any{"redis", map[string]any{}}, "config.redis: exactly one of these fields must be non-empty: 'host', 'sentinel_master', 'cluster_nodes'"},
		{"two redis", []any{"redis", map[string]any{"host": "a", "cluster_nodes": []any{map[string]any{"ip": "b"}}}}, "config.redis: exactly one of these fields must be non-empty"},
		{"sentinel without nodes", []any{"redis", map[string]any{"sentinel_master": "m2m"}}, "config.redis: all or none of these fields must be set: 'sentinel_master', 'sentinel_nodes'"},
		{"nodes without sentinel", []any{"redis.sentinel_nodes", []any{map[string]any{"host": "b"}}}, "config.redis: all or none of these fields must be set"},
		{"cluster node without address", []any{"redis", map[string]any{"cluster_nodes": []any{map[string]any{"port": 1.0}}}}, "config.redis.cluster_nodes[0].ip: required field missing"},
		{"certificate without key", []any{"redis.ssl", true, "redis.ssl_cert_file", "a"}, "'ssl_cert_file', 'ssl_key_file'"},
		{"two keys", []any{"signing.jwks", "x"}, "config.signing: exactly one of these fields must be non-empty: 'jwks_file', 'jwks'"},
		{"no key", []any{"signing", nil}, "config.signing: exactly one of these fields must be non-empty: 'jwks_file', 'jwks'"},
		{"unresolved vault reference", []any{"signing.jwks_file", nil, "signing.jwks", ""}, "config.signing.jwks: empty, as a vault reference that can't be resolved is"},
		{"claim twice sourced", []any{"claims", claim("name", "a", "from", "user.a", "value", "b")}, "config.claims[0]: exactly one of"},
		{"claim from a property and an expression", []any{"claims", claim("name", "a", "from", "user.a", "expr", "user.a")}, "config.claims[0]: exactly one of these fields must be non-empty: 'from', 'value', 'expr'"},
		{"an expression that is too long", []any{"claims", claim("name", "a", "expr", strings.Repeat("1", 4097))}, "config.claims[0].expr: length must be at most 4096"},
		{"claim unsourced", []any{"claims", claim("name", "a")}, "config.claims[0]: exactly one of"},
		{"value with default", []any{"claims", claim("name", "a", "value", "b", "default", "c")}, "only one or none of these fields must be set: 'value', 'default'"},
		{"claim type", []any{"claims", claim("name", "a", "value", "b", "type", "date")}, "config.claims[0].type: expected one of:"},

		{"http issuer", []any{"issuer", "http://idp.example.com", "management_audiences", []any{}}, "config.issuer: must be an https URL"},
		{"issuer without keys", []any{"issuer", "accounts.example.com", "prefix", "m2m:", "management_audiences", []any{}}, "config.issuer: must be an https URL"},
		{"issuer with query", []any{"issuer", "https://a.kinde.com?x"}, "config.issuer: must have no user, query or fragment"},
		{"allowed issuer with a user", []any{"issuers_allowed", []any{"no URL", "https://u@a.kinde.com"}}, "config.issuers_allowed[1]: must have no user, query or fragment"},
		{"empty allowed issuer", []any{"issuers_allowed", []any{""}}, "config.issuers_allowed[0]: length must be at least 1"},
		{"jwks_uri", []any{"jwks_uri", "http://idp.example.com/jwks"}, "config.jwks_uri: must be an https URL, or http on loopback"},
		{"jwks_uri in a cluster", []any{"jwks_uri", "http://idp.svc/jwks"}, "jwks_insecure_http allows plain http inside a cluster"},
		{"insecure file", []any{"jwks_uri", "file:///jwks", "jwks_insecure_http", true}, "config.jwks_uri: must be an https URL"},
		{"insecure with a user", []any{"jwks_uri", "http://u:p@idp.svc/jwks", "jwks_insecure_http", true}, "config.jwks_uri: must be an https URL"},
		{"insecure without URL", []any{"jwks_insecure_http", true}, "config.jwks_insecure_http: needs jwks_uri"},
		{"insecure issuer", []any{"issuer", "http://idp.svc", "jwks_insecure_http", true, "management_audiences", []any{}}, "config.issuer: must be an https URL"},
		{"no prefix", []any{"issuer", "accounts", "jwks_uri", "https://a/jwks", "management_audiences", []any{}}, "config.prefix: required"},
		{"prefix without an end", []any{"prefix", "m2m:kc"}, "config.prefix: must end in a separator"},
		{"prefix within another's records", []any{"prefix", "m2m:kc:app:"}, `config.prefix: must not have the part "app"`},
		{"no management audience", []any{"issuer", "https://idp.example.com"}, "config.management_audiences: required, because the issuer isn't a *.kinde.com host"},
		{"like kinde", []any{"issuer", "https://evilkinde.com"}, "config.management_audiences: required"},
		{"profile", []any{"signing.issuer", "https://gateway", "signing.profile", "at+jwt"}, "config.signing.profile: expected one of: rfc9068"},
		{"profile without issuer", []any{"signing.profile", "rfc9068"}, "config.signing.profile: needs signing.issuer"},
		{"signing issuer", []any{"signing.issuer", "http://gateway"}, "config.signing.issuer: must be an https URL"},
		{"signing issuer without metadata", []any{"issuer", "accounts", "jwks_uri", "https://a/jwks", "prefix", "m2m:", "management_audiences", []any{}, "signing.issuer", "https://gateway"}, "config.signing.issuer: needs the provider's metadata"},
		{"jwks path", []any{"signing.jwks_path", "m2m/jwks.json"}, "config.signing.jwks_path: should start with: /"},
		{"jwks path with query", []any{"signing.jwks_path", "/jwks?x"}, "config.signing.jwks_path: must be a path"},
		{"database in a cluster", []any{"redis", map[string]any{"database": 1.0, "cluster_nodes": []any{map[string]any{"ip": "b"}}}}, "config.redis.database: must be 0"},
		{"CA without TLS", []any{"redis.ssl_ca_file", "a"}, "config.redis.ssl: must be true"},
		{"organization source", []any{"organization.from", []any{"application.a", "user.org"}}, "config.organization.from[1]: must be application.KEY or token.PATH"},
		{"organization key", []any{"organization.from", []any{"application."}}, "config.organization.from[0]: must be application.KEY"},
		{"organization path", []any{"organization.from", []any{"token."}}, "config.organization.from[0]: must be application.KEY or token.PATH"},
		{"organization from nothing", []any{"organization.from", []any{}}, "config.organization.from: length must be at least 1"},
		{"organization from a text", []any{"organization.from", "application.org_code"}, "config.organization.from: expected an array"},
		{"near a token", []any{"user.from", []any{"tokn.sub"}}, `config.user.from[0]: must be application.KEY or token.PATH; did you mean "token.sub"?`},
		{"claim from no path", []any{"claims", claim("name", "a", "from", "token.")}, "config.claims[0].from: must be application.KEY"},
		{"reserved, from the token", []any{"claims", claim("name", "sub", "from", "token.azp")}, "is reserved"},
		{"authorization, from the token", []any{"claims", claim("name", "roles", "from", "token.groups")}, "set allow_authorization_claims"},
		{"source", []any{"claims", claim("name", "a", "from", "team.x")}, "config.claims[0].from: must be application.KEY"},
		{"source without key", []any{"claims", claim("name", "a", "from", "user.")}, "config.claims[0].from: must be application.KEY"},
		{"reserved", []any{"claims", claim("name", "Sub", "from", "user.id")}, `config.claims[0].name: "Sub" is reserved`},
		{"reserved by folding", []any{"claims", claim("name", "ſub", "from", "user.id")}, `is reserved`},
		{"client id claim", []any{"client_id_claim", []any{"app"}, "claims", claim("name", "APP", "from", "user.id")}, "is the configured client_id_claim"},
		{"authorization", []any{"claims", claim("name", "roles", "from", "user.roles")}, "set allow_authorization_claims"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(minimal(t, tt.changes...))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestNoErrorHidesAnother: a value of a wrong type hides no error in another
// field, and causes none.
func TestNoErrorHidesAnother(t *testing.T) {
	for name, tt := range map[string]struct {
		changes []any
		want    []string // the paths of all errors
	}{
		"ranges and rules": {[]any{"issuer", "http://idp", "jwks_uri", "ftp://x", "signing.jwks_path", "/a#b", "mode", "audit", "timeout", 0.0, "client_id_claim", []any{},
			"claims", append(claim("name", "iss", "value", "x"), claim("name", "ISS", "value", "x")...)},
			[]string{"mode", "timeout", "client_id_claim", "jwks_uri", "management_audiences", "signing.jwks_path", "claims[0].name", "claims[1].name", "claims[1].name"}},
		"types and rules": {[]any{"timeout", "1s", "leeway", 1e300, "colour", "red", "redis.ssl", "on", "redis.ssl_ca_file", "a", "claims", claim("name", "iss", "from", "team.x")},
			[]string{"timeout", "leeway", "redis.ssl", "colour", "claims[0].name", "claims[0].from"}},
		"a type, and what depends on it": {[]any{"issuer", 5.0, "prefix", true, "management_audiences", "x", "allow_authorization_claims", "yes", "organization.from", 5.0,
			"claims", append(claim("name", "roles", "from", "user.roles"), map[string]any{"name": 1.0, "value": 2.0}, map[string]any{"name": 1.0, "value": 2.0}, nil, nil)},
			[]string{"issuer", "management_audiences", "prefix", "organization.from", "allow_authorization_claims",
				"claims[1].name", "claims[1].value", "claims[2].name", "claims[2].value", "claims[3]", "claims[4]"}},
		"no issuer":      {[]any{"issuer", nil, "jwks_uri", "ftp://x", "prefix", "m2m"}, []string{"issuer", "jwks_uri", "prefix"}},
		"no records":     {[]any{"redis", "x", "signing", 5.0, "claims", map[string]any{}}, []string{"signing", "redis", "claims"}},
		"keys elsewhere": {[]any{"jwks_uri", 5.0, "issuer", "accounts", "prefix", "m2m:", "management_audiences", []any{}}, []string{"jwks_uri"}},
	} {
		cfg, err := Parse(minimal(t, tt.changes...))
		var got []string
		for _, e := range Split(err) {
			got = append(got, strings.TrimPrefix(e.(*FieldError).Path, "config."))
		}
		if cfg == nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want errors at %v", name, err, tt.want)
		}
	}
	if cfg, err := Parse([]any{}); cfg == nil || err == nil || err.Error() != "config: expected a record" {
		t.Errorf("Parse([]) = %+v, %v, want the error that a record is expected", cfg, err)
	}
}

func TestEveryReservedClaim(t *testing.T) {
	// Listed once more: a name that is dropped from the product must be noticed.
	names := "iss sub aud exp nbf iat jti azp client_id cid appid sid act may_act cnf gty scp scope authorization_details " +
		"idtyp oid tid token_use auth_time acr amr nonce at_hash sub_id events nameid actort typ azpacr appidacr " +
		"_claim_names _claim_sources _sd _sd_alg ... __proto__"
	for _, name := range strings.Fields(names + " " + strings.ToUpper(names)) {
		if _, err := Parse(minimal(t, "claims", claim("name", name, "value", "x"), "allow_authorization_claims", true)); err == nil {
			t.Errorf("%s may be set", name)
		}
	}
}

func TestVaultReferenceIsNotChecked(t *testing.T) {
	_, err := Parse(minimal(t, "signing.jwks_file", nil, "signing.jwks", "{vault://env/keys}", "redis.password", "{vault://env/p}"))
	if err != nil {
		t.Error(err)
	}
}

// TestEnforceShare: a share has about its part of the applications, and those of
// every smaller one.
func TestEnforceShare(t *testing.T) {
	count := func(share int) map[int]bool {
		c := &Config{Mode: ModeEnforce, EnforceShare: share}
		enforced := map[int]bool{}
		for i := range 10_000 {
			if c.Enforces(fmt.Sprintf("%032x", i)) {
				enforced[i] = true
			}
		}
		return enforced
	}
	before := map[int]bool{}
	for _, share := range []int{0, 1, 5, 50, 99, 100} {
		now := count(share)
		if n := len(now); n < share*80 || n > share*120 {
			t.Errorf("%d %%: got %d of 10,000 applications, want about %d", share, n, share*100)
		}
		for i := range before {
			if !now[i] {
				t.Fatalf("%d %%: an application of a smaller share isn't in it", share)
			}
		}
		before = now
	}
	partly := &Config{Mode: ModeEnforce, EnforceShare: 99}
	if partly.EnforcesAll() || partly.Enforces("") {
		t.Error("a share enforces whom it doesn't know")
	}
	if c := (&Config{Mode: ModeObserve, EnforceShare: 100}); c.EnforcesAll() || c.Enforces("a") {
		t.Error("observe enforces")
	}
}
