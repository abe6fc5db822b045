package jws

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

var benchPayload = []byte(`{"aud":["https://api.example.com"],"azp":"299627bd8bfa493f8b17e6aec8ebfb86","exp":1800086399,"iat":1800000000,"iss":"https://example.kinde.com"}`)

// benchRing returns a ring of n keys. The first is of kind.
func benchRing(b *testing.B, kind string, n int) *Ring {
	b.Helper()
	var keys []json.RawMessage
	for i := range n {
		text, err := Generate([]string{kind, "ed25519"}[min(i, 1)])
		if err != nil {
			b.Fatal(err)
		}
		var set struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(text, &set); err != nil {
			b.Fatal(err)
		}
		keys = append(keys, set.Keys...)
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		b.Fatal(err)
	}
	ring, err := ParseRing(text)
	if err != nil {
		b.Fatal(err)
	}
	return ring
}

// BenchmarkSign is the lower bound of an enriched token: one signature.
func BenchmarkSign(b *testing.B) {
	for _, kind := range []string{"ec", "rsa", "ed25519"} {
		ring := benchRing(b, kind, 1)
		b.Run(ring.Algorithm(), func(b *testing.B) { benchSign(b, ring) })
	}
}

// BenchmarkSignWithRing shows that further keys in the ring cost nothing.
func BenchmarkSignWithRing(b *testing.B) {
	for _, n := range []int{2, 20} {
		ring := benchRing(b, "ec", n)
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) { benchSign(b, ring) })
	}
}

func benchSign(b *testing.B, ring *Ring) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Sign(context.Background(), nil, benchPayload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is a whole verification: decoding, key, signature, claims.
func BenchmarkVerify(b *testing.B) {
	for _, kind := range []string{"ec", "rsa", "ed25519"} {
		ring := benchRing(b, kind, 1)
		token, err := ring.Sign(context.Background(), nil, benchPayload)
		if err != nil {
			b.Fatal(err)
		}
		keys, err := ParseProviderKeys(ring.PublicSet())
		if err != nil {
			b.Fatal(err)
		}
		now := func() time.Time { return time.Unix(1_800_000_000, 0) }
		v := NewVerifier("https://example.kinde.com", []string{ring.Algorithm()}, 0, &source{keys: keys}, now)
		b.Run(ring.Algorithm(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
