package enrich

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"m2m-token-enricher/plugin/jws"
)

// BenchmarkEnrich is the core alone: one RS256 token of the provider in, one
// token signed by the gateway out, records held.
func BenchmarkEnrich(b *testing.B) {
	for _, kind := range []string{"ec", "rsa", "ed25519"} {
		f := newFixture(b)
		asPublished(b, f)
		text, err := jws.Generate(kind)
		must(b, err)
		if f.ring, err = jws.ParseRing(text); err != nil {
			b.Fatal(err)
		}
		body, err := json.Marshal(map[string]any{"access_token": f.sign(), "expires_in": 86399, "scope": "read", "token_type": "bearer"})
		must(b, err)
		x := partial(f.exchange)
		x.Response.Body = body
		e := f.enricher()
		b.Run(f.ring.Algorithm(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				decide(b, e, x, Enriched)
			}
		})
	}
}

// BenchmarkManagement is a token that leaves untouched.
func BenchmarkManagement(b *testing.B) {
	f := newFixture(b)
	asPublished(b, f)
	f.claims["aud"] = testManagement
	body, err := json.Marshal(map[string]any{"access_token": f.sign()})
	must(b, err)
	x := partial(f.exchange)
	x.Response.Body = body
	e := f.enricher()
	b.ReportAllocs()
	for b.Loop() {
		decide(b, e, x, ManagementAudience)
	}
}

// asPublished gives the fixture the provider's key as it comes from a JWK set:
// held as it verifies fastest.
func asPublished(b *testing.B, f *fixture) {
	b.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &providerKey().PublicKey, KeyID: "idp", Algorithm: "RS256", Use: "sig"}}})
	must(b, err)
	if f.keys.keys, err = jws.ParseProviderKeys(set); err != nil {
		b.Fatal(err)
	}
}

// decide is what the caller does with an exchange of which it has a part.
func decide(b *testing.B, e *Enricher, x Exchange, want Outcome) {
	if x.NeedsDetails() {
		b.Fatal("the rest of the exchange is needed")
	}
	if r := e.Enrich(context.Background(), x); r.Outcome != want {
		b.Fatalf("outcome %s: %v", r.Outcome, r.Cause)
	}
}
