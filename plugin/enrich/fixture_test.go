package enrich

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/jws/libcrypto"
	"m2m-token-enricher/schema"
)

const (
	testIssuer     = "https://example.kinde.com"
	testClient     = "299627bd8bfa493f8b17e6aec8ebfb86"
	testOrg        = "org_8ed648340ea9"
	testUser       = "kp_0192"
	testManagement = "https://example.kinde.com/api"
)

var testNow = time.Unix(1_800_000_000, 0)

// TestMain lets a build with the tag libcrypto test with that library.
func TestMain(m *testing.M) {
	jws.Accelerate(libcrypto.Load())
	os.Exit(m.Run())
}

// providerKey signs the provider's tokens. One for all tests: making RSA keys
// is slow.
var providerKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

var gatewayRing = sync.OnceValue(func() *jws.Ring { return newRing("ec") })

func newRing(kind string) *jws.Ring {
	text, err := jws.Generate(kind)
	if err != nil {
		panic(err)
	}
	ring, err := jws.ParseRing(text)
	if err != nil {
		panic(err)
	}
	return ring
}

// staticKeys is a provider whose keys are known, or a provider that is down.
type staticKeys struct {
	keys jws.ProviderKeys
	err  error
}

func (s staticKeys) Keys(context.Context) (jws.ProviderKeys, error)    { return s.keys, s.err }
func (s staticKeys) Renewed(context.Context) (jws.ProviderKeys, error) { return s.keys, s.err }

// memory holds records by their key in Redis without a prefix. A value that is
// an error is the answer to a lookup.
type memory map[string]any

func (m memory) Record(_ context.Context, kind schema.Kind, id string) (schema.Record, error) {
	key := kind.Key("", id)
	switch v := m[key].(type) {
	case schema.Record:
		return v, nil
	case outdated:
		return schema.Record(v), fmt.Errorf("%s: %w", key, schema.ErrUnavailable)
	case error:
		return nil, fmt.Errorf("%s: %w", key, v)
	}
	return nil, fmt.Errorf("%s: %w", key, schema.ErrNoRecord)
}

// outdated is a record that is too old to issue a token by.
type outdated schema.Record

// fixture is a good exchange and all that it needs. A test spoils what it is
// about.
type fixture struct {
	t       testing.TB
	config  map[string]any
	keys    staticKeys
	ring    *jws.Ring
	ringErr error
	records memory

	workflow Workflow

	claims   map[string]any
	header   map[string]any
	token    string         // instead of the signed claims
	response map[string]any // beside access_token
	body     []byte         // instead of the response
	exchange Exchange
}

func newFixture(t testing.TB) *fixture {
	public := jws.ProviderKey{KeyID: "idp", Algorithm: "RS256", Public: &providerKey().PublicKey, Thumbprint: "idp-thumbprint"}
	return &fixture{
		t: t,
		config: map[string]any{
			"issuer":  testIssuer,
			"redis":   map[string]any{"host": "redis"},
			"signing": map[string]any{"jwks_file": "/keys.json"},
			"claims": []any{
				map[string]any{"name": "org_code", "from": "organization.code"},
				map[string]any{"name": "org_name", "from": "organization.name"},
			},
		},
		keys: staticKeys{keys: jws.ProviderKeys{public}},
		ring: gatewayRing(),
		records: memory{
			"app:" + testClient: schema.Record{"org_code": testOrg, "user_id": testUser, "region": "eu"},
			"org:" + testOrg:    schema.Record{"code": testOrg, "name": "Acme Inc", "is_suspended": "false", "plan": "gold"},
			"user:" + testUser:  schema.Record{"id": testUser, "email": "ops@acme.example"},
		},
		claims: map[string]any{
			"aud": []string{"https://api.example.com"}, "azp": testClient, "exp": testNow.Unix() + 86399,
			"iat": testNow.Unix(), "iss": testIssuer, "jti": "j", "scp": []string{"read"},
		},
		header:   map[string]any{"alg": "RS256", "kid": "idp", "typ": "JWT"},
		response: map[string]any{"expires_in": 86399, "scope": "read", "token_type": "bearer"},
		exchange: Exchange{
			Request: Request{
				Method: "POST", ContentType: "application/x-www-form-urlencoded",
				Body: []byte("grant_type=client_credentials&client_id=" + testClient + "&client_secret=s3cret&audience=https%3A%2F%2Fapi.example.com&scope=read"),
			},
			Response: Response{Status: 200},
		},
	}
}

// set changes a field of the configuration.
func (f *fixture) set(section, name string, value any) {
	if section == "" {
		f.config[name] = value
		return
	}
	if f.config[section] == nil {
		f.config[section] = map[string]any{}
	}
	f.config[section].(map[string]any)[name] = value
}

func (f *fixture) sign() string {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(f.claims))
	for name, value := range f.header {
		t.Header[name] = value
	}
	token, err := t.SignedString(providerKey())
	must(f.t, err)
	return token
}

func (f *fixture) enricher() *Enricher {
	cfg := f.parsed()
	must(f.t, Complete(cfg))
	now := func() time.Time { return testNow }
	e, err := New(cfg, Dependencies{
		Verifier: jws.NewVerifier(cfg.Issuer, cfg.Algorithms, time.Duration(cfg.Leeway)*time.Second, f.keys, now),
		Ring:     func(context.Context) (Ring, error) { return f.ring, f.ringErr },
		Records:  f.records,
		Workflow: f.workflow,
		Now:      now,
	})
	must(f.t, err)
	return e
}

// parsed returns the configuration as schema gives it.
func (f *fixture) parsed() *schema.Config {
	text, err := json.Marshal(f.config)
	must(f.t, err)
	cfg, err := schema.ParseInstance(text)
	must(f.t, err)
	return cfg
}

// run sends the exchange through the pipeline.
func (f *fixture) run(ctx context.Context) Result { return f.enricher().Enrich(ctx, f.complete()) }

// want is run, and fails the test unless the outcome is want.
func (f *fixture) want(want Outcome) Result {
	f.t.Helper()
	r := f.run(context.Background())
	if r.Outcome != want {
		f.t.Fatalf("outcome %s, want %s: %v", r.Outcome, want, r.Cause)
	}
	return r
}

// wantOutcomes tests each input, which set puts into the exchange.
func wantOutcomes(t *testing.T, outcomes map[string]Outcome, set func(f *fixture, input string)) {
	for input, want := range outcomes {
		t.Run(input, func(t *testing.T) {
			f := newFixture(t)
			set(f, input)
			f.want(want)
		})
	}
}

// complete is the exchange with the provider's answer.
func (f *fixture) complete() Exchange {
	if f.token == "" {
		f.token = f.sign()
	}
	x := f.exchange
	switch {
	case f.body != nil:
		x.Response.Body = f.body
	case x.Response.Body == nil:
		f.response["access_token"] = f.token
		body, err := json.Marshal(f.response)
		must(f.t, err)
		x.Response.Body = body
	}
	return x
}

// payload returns the claims of a token as they are written, after its
// signature was verified with the gateway's published keys.
func payload(t testing.TB, ring *jws.Ring, token string) string {
	t.Helper()
	keys, err := jws.ParseProviderKeys(ring.PublicSet())
	must(t, err)
	v := jws.NewVerifier(testIssuer, []string{ring.Algorithm()}, 0, staticKeys{keys: keys}, func() time.Time { return testNow })
	verified, err := v.Verify(context.Background(), token)
	if err != nil {
		t.Fatalf("the gateway's own token doesn't verify: %v", err)
	}
	return string(verified.Claims.Bytes())
}

// partial is the exchange as Kong hands it over: the rest isn't asked for.
func partial(x Exchange) Exchange {
	return Exchange{
		Request:  Request{Body: x.Request.Body, BodyError: x.Request.BodyError},
		Response: Response{Status: x.Response.Status, Body: x.Response.Body, HeadersError: x.Response.HeadersError},
		Partial:  true,
	}
}

// must ends the test if err isn't nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
