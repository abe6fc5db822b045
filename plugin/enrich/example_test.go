package enrich_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// providerKeys are the keys that the provider publishes.
type providerKeys struct{ jws.ProviderKeys }

func (k providerKeys) Keys(context.Context) (jws.ProviderKeys, error)    { return k.ProviderKeys, nil }
func (k providerKeys) Renewed(context.Context) (jws.ProviderKeys, error) { return k.ProviderKeys, nil }

// records are the records by their keys in Redis.
type records map[string]schema.Record

func (r records) Record(_ context.Context, kind schema.Kind, id string) (schema.Record, error) {
	if record, ok := r[kind.Key("", id)]; ok {
		return record, nil
	}
	return nil, schema.ErrNoRecord
}

// newRing makes a signing key.
func newRing() *jws.Ring {
	text, err := jws.Generate("ec")
	if err != nil {
		log.Fatal(err)
	}
	ring, err := jws.ParseRing(text)
	if err != nil {
		log.Fatal(err)
	}
	return ring
}

// An application asks for a token. The provider's answer says which application it
// is, and the records say whose.
func ExampleNew() {
	cfg, err := schema.ParseInstance([]byte(`{
		"issuer": "https://idp.example.com", "management_audiences": [], "algorithms": ["ES256"], "redis": {"host": "redis"}, "signing": {"jwks_file": "/keys.json"},
		"claims": [{"name": "org_code", "from": "organization.code"}, {"name": "plan", "from": "organization.plan", "default": "free"}]
	}`))
	if err != nil {
		log.Fatal(err)
	}
	provider, gateway := newRing(), newRing()
	published, err := jws.ParseProviderKeys(provider.PublicSet())
	if err != nil {
		log.Fatal(err)
	}
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	enricher, err := enrich.New(cfg, enrich.Dependencies{
		Verifier: jws.NewVerifier(cfg.Issuer, cfg.Algorithms, 0, providerKeys{published}, now),
		Ring:     func(context.Context) (enrich.Ring, error) { return gateway, nil },
		Records:  records{"app:app-1": {"org_code": "org_1"}, "org:org_1": {"code": "org_1", "plan": "gold"}},
		Now:      now,
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := provider.Sign(context.Background(), nil, []byte(`{"iss":"https://idp.example.com","azp":"app-1","exp":1800003600}`))
	if err != nil {
		log.Fatal(err)
	}

	result := enricher.Enrich(context.Background(), enrich.Exchange{
		Request:  enrich.Request{Method: "POST", ContentType: enrich.FormMediaType, Body: []byte("grant_type=client_credentials&client_id=app-1&client_secret=s")},
		Response: enrich.Response{Status: 200, Body: fmt.Appendf(nil, `{"access_token":%q,"expires_in":3600}`, token)},
	})

	fmt.Println(result.Outcome, result.Action, result.Status)
	body, err := splice.Parse(result.Body)
	if err != nil {
		log.Fatal(err)
	}
	enriched, _ := body.Text("access_token")
	claims, err := jws.UnverifiedClaims(enriched)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", claims.Bytes())
	// Output:
	// enriched replace 200
	// {"iss":"https://idp.example.com","azp":"app-1","exp":1800003600,"org_code":"org_1","plan":"gold"}
}
