package enrich

import (
	"context"
	"encoding/json"
	"testing"

	"m2m-token-enricher/plugin/jws"
)

// BenchmarkEnrich is the core alone: one RS256 token of the provider in, one
// token signed by the gateway out, records held.
func BenchmarkEnrich(b *testing.B) {
	for _, kind := range []string{"ec", "rsa", "ed25519"} {
		f := newFixture(b)
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
		x := f.exchange
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
	f.claims["aud"] = testManagement
	body, err := json.Marshal(map[string]any{"access_token": f.sign()})
	if err != nil {
		b.Fatal(err)
	}
	x := f.exchange
	x.Response.Body = body
	e := f.enricher()
	b.ReportAllocs()
	for b.Loop() {
		if r := e.Enrich(context.Background(), x); r.Outcome != ManagementAudience {
			b.Fatalf("outcome %s: %v", r.Outcome, r.Cause)
		}
	}
}
