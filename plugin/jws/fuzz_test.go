package jws

import (
	"strings"
	"testing"
)

// FuzzVerify: the provider signed every text that is accepted. Several keys sign,
// so algorithms and kids can be confused.
func FuzzVerify(f *testing.F) {
	keys := providerKeys(f, set(f, public("k1", rsaKey()), public("k2", ecKey()), public("", edKey())))
	v := newVerifier(&source{keys: keys})
	signed := make(map[string]bool)
	add := func(alg string, key any, header, payload string) {
		token := sign(f, alg, key, header, payload)
		last := strings.LastIndexByte(token, '.')
		signed[token[:last]] = true
		if c, err := decode(token); err == nil {
			f.Add([]byte(header), []byte(payload), c.signature, "", "")
		}
		f.Add([]byte{}, []byte{}, []byte{}, token, "")
	}
	add("RS256", rsaKey(), accepted, claims(""))
	add("PS256", rsaKey(), `{"alg":"PS256"}`, claims(`,"aud":["a"]`))
	add("ES256", ecKey(), `{"alg":"ES256","kid":"k2","typ":"at+jwt"}`, claims(`,"azp":"a"`))
	add("EdDSA", edKey(), `{"alg":"EdDSA","kid":"k3"}`, claims(`,"nbf":1`))
	add("RS256", rsaKey(), `{"alg":"RS256"}`, `{"sub":"nobody"}`)
	f.Add([]byte(`{"alg":"none"}`), []byte(claims("")), []byte{}, "", "")
	f.Add([]byte(`{"alg":"HS256","kid":"k1"}`), []byte(claims("")), rsaKey().N.Bytes()[:32], "", "")
	f.Add([]byte(`{"alg":"ES256","kid":"k2"}`), []byte(claims("")), make([]byte, 64), "", "")
	f.Fuzz(func(t *testing.T, header, payload, signature []byte, before, after string) {
		token := before + after
		if len(header) > 0 {
			token = before + encode(string(header)) + "." + encode(string(payload)) + "." + encode(string(signature)) + after
		}
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			if got != nil {
				t.Errorf("Verify(%q) returned a token beside %v", token, err)
			}
			return
		}
		last := strings.LastIndexByte(token, '.')
		if last < 0 || !signed[token[:last]] {
			t.Errorf("Verify accepted %q, which the provider didn't sign", token)
		}
	})
}
