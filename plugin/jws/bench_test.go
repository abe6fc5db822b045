package jws

import "testing"

// BenchmarkSign is the lower bound of an enriched token: one signature.
func BenchmarkSign(b *testing.B) {
	payload := []byte(`{"aud":["https://api.example.com"],"azp":"299627bd8bfa493f8b17e6aec8ebfb86","exp":1800086399,"iat":1800000000}`)
	for _, kind := range []string{"ec", "rsa", "ed25519"} {
		text, err := Generate(kind)
		if err != nil {
			b.Fatal(err)
		}
		ring, err := ParseRing(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(ring.Algorithm(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ring.Sign(nil, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
