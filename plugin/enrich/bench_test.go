package enrich

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"m2m-token-enricher/plugin/jws"
)

// BenchmarkEnrich is the core alone: one RS256 token of the provider in, one
// token signed by the gateway out, records in memory.
func BenchmarkEnrich(b *testing.B) {
	for _, kind := range []string{"ec", "rsa", "ed25519"} {
		f := newFixture(b)
		f.ring = newRing(kind)
		b.Run(f.ring.Algorithm(), func(b *testing.B) { f.bench(b, Enriched) })
	}
}

// BenchmarkManagement is a token that passes unchanged.
func BenchmarkManagement(b *testing.B) {
	f := newFixture(b)
	f.claims["aud"] = testManagement
	f.bench(b, ManagementAudience)
}

// BenchmarkAgain is the answer to a repeated request: what BenchmarkEnrich does without
// the verification and the signature. BenchmarkHold is an exchange whose answer may be
// given again.
func BenchmarkAgain(b *testing.B) {
	e, h := newFixture(b).held()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Again(context.Background(), h, "", testNow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHold(b *testing.B) {
	f := newFixture(b)
	f.set("reuse", "enabled", true)
	f.bench(b, Enriched)
}

// bench decides the exchange as the plugin does, from a part of it. The provider's
// key comes from a JWK set, which verifies fastest.
func (f *fixture) bench(b *testing.B, want Outcome) {
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &providerKey().PublicKey, KeyID: "idp", Algorithm: "RS256", Use: "sig"}}})
	must(b, err)
	f.keys.keys, err = jws.ParseProviderKeys(set)
	must(b, err)
	x, e := partial(f.complete()), f.enricher()
	b.ReportAllocs()
	for b.Loop() {
		x := x
		if x.NeedsDetails() {
			b.Fatal("the exchange needs its details")
		}
		if r := e.Enrich(context.Background(), x); r.Outcome != want {
			b.Fatalf("outcome %s, want %s: %v", r.Outcome, want, r.Cause)
		}
	}
}
