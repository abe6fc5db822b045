package enrich

import (
	"context"
	"encoding/json"
	"errors"
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
		if err != nil {
			b.Fatal(err)
		}
		if f.ring, err = jws.ParseRing(text); err != nil {
			b.Fatal(err)
		}
		body, err := json.Marshal(map[string]any{"access_token": f.sign(), "expires_in": 86399, "scope": "read", "token_type": "bearer"})
		if err != nil {
			b.Fatal(err)
		}
		x := credentials(f.exchange)
		x.Response.Body = body
		e := f.enricher()
		b.Run(f.ring.Algorithm(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := e.Enrich(context.Background(), x); r.Outcome != Enriched {
					b.Fatalf("outcome %s: %v", r.Outcome, r.Cause)
				}
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
	if err != nil {
		b.Fatal(err)
	}
	x := credentials(f.exchange)
	x.Response.Body = body
	e := f.enricher()
	b.ReportAllocs()
	for b.Loop() {
		if r := e.Enrich(context.Background(), x); r.Outcome != ManagementAudience {
			b.Fatalf("outcome %s: %v", r.Outcome, r.Cause)
		}
	}
}

// asPublished gives the fixture the provider's key as it comes from a JWK set:
// held as it verifies fastest.
func asPublished(b *testing.B, f *fixture) {
	b.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &providerKey().PublicKey, KeyID: "idp", Algorithm: "RS256", Use: "sig"}}})
	if err != nil {
		b.Fatal(err)
	}
	if f.keys.keys, err = jws.ParseProviderKeys(set); err != nil {
		b.Fatal(err)
	}
}

// credentials is the exchange as Kong hands it over: the rest isn't asked for.
func credentials(x Exchange) Exchange {
	x.More = func(*Exchange) error { return errors.New("the rest of the exchange was asked for") }
	return x
}
