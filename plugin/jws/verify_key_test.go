package jws

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestVerifyKey(t *testing.T) {
	rs256 := func(header string) string { return sign(t, "RS256", rsaKey(), header, claims("")) }
	with := func(key jose.JSONWebKey, alg, use string) jose.JSONWebKey {
		key.Algorithm, key.Use = alg, use
		return key
	}
	k1 := public("k1", rsaKey())
	tests := []struct {
		name, set, token string
		want             error
	}{
		{"RS256", set(t, k1), rs256(accepted), nil},
		{"PS384", set(t, k1), sign(t, "PS384", rsaKey(), `{"alg":"PS384"}`, claims("")), nil},
		{"ES256", set(t, public("k1", ecKey())), sign(t, "ES256", ecKey(), `{"alg":"ES256"}`, claims("")), nil},
		{"ES384", set(t, public("k1", p384Key())), sign(t, "ES384", p384Key(), `{"alg":"ES384"}`, claims("")), nil},
		{"EdDSA", set(t, public("k1", edKey())), sign(t, "EdDSA", edKey(), `{"alg":"EdDSA"}`, claims("")), nil},
		{"Ed25519", set(t, public("k1", edKey())), ed25519Token(t, "Ed25519"), nil},
		{"Ed25519 and a key of EdDSA", set(t, with(public("k1", edKey()), "EdDSA", "sig")), ed25519Token(t, "Ed25519"), nil},
		{"EdDSA and a key of Ed25519", set(t, with(public("k1", edKey()), "Ed25519", "sig")), ed25519Token(t, "EdDSA"), nil},
		{"ed25519 in small letters", set(t, public("k1", edKey())), ed25519Token(t, "ed25519"), ErrUntrusted},
		{"Ed448", set(t, public("k1", edKey())), ed25519Token(t, "Ed448"), ErrUntrusted},
		{"Ed25519 header and an EC key", set(t, public("k1", ecKey())), sign(t, "ES256", ecKey(), `{"alg":"Ed25519"}`, claims("")), ErrUntrusted},
		{"another key", set(t, public("k1", otherRSA())), rs256(accepted), ErrUntrusted},
		{"another key's kid", set(t, k1, public("k2", otherRSA())), rs256(`{"alg":"RS256","kid":"k2"}`), ErrUntrusted},
		{"unknown kid", set(t, k1), rs256(`{"alg":"RS256","kid":"k2"}`), ErrUntrusted},
		{"no kid in the token", set(t, public("k0", otherRSA()), k1), rs256(`{"alg":"RS256"}`), nil},
		{"no kid in the set", set(t, public("", otherRSA()), public("", rsaKey())), rs256(accepted), nil},
		{"no kid at all", set(t, public("", rsaKey())), rs256(`{"alg":"RS256"}`), nil},
		{"two keys of the same kid", set(t, public("k1", otherRSA()), k1), rs256(accepted), nil},
		{"two types of the same kid", set(t, public("k1", ecKey()), k1), rs256(accepted), nil},
		{"RS256 header and an EC key", set(t, public("k1", ecKey())), rs256(accepted), ErrUntrusted},
		{"ES256 header and an RSA key", set(t, k1), rs256(`{"alg":"ES256","kid":"k1"}`), ErrUntrusted},
		{"EdDSA header and an EC key", set(t, public("k1", ecKey())), sign(t, "ES256", ecKey(), `{"alg":"EdDSA"}`, claims("")), ErrUntrusted},
		{"ES384 header and a P-256 key", set(t, public("k1", ecKey())), sign(t, "ES256", ecKey(), `{"alg":"ES384"}`, claims("")), ErrUntrusted},
		{"ES256 header and a P-384 key", set(t, public("k1", p384Key())), sign(t, "ES384", p384Key(), `{"alg":"ES256"}`, claims("")), ErrUntrusted},
		{"PS256 header and an RS256 signature", set(t, k1), rs256(`{"alg":"PS256","kid":"k1"}`), ErrUntrusted},
		{"key of use sig", set(t, with(k1, "RS256", "sig")), rs256(accepted), nil},
		{"key of use enc", set(t, with(k1, "", "enc"), public("k2", otherRSA())), rs256(accepted), ErrUntrusted},
		{"key of key_ops encrypt", operations(t, k1, `["encrypt"]`), rs256(accepted), ErrUntrusted},
		{"key of no key_ops", operations(t, k1, `[]`), rs256(accepted), ErrUntrusted},
		{"key of bad key_ops", operations(t, k1, `"verify"`), rs256(accepted), ErrUntrusted},
		{"key of key_ops verify", operations(t, k1, `["sign","verify"]`), rs256(accepted), nil},
		{"key of another alg", set(t, with(k1, "PS256", "")), rs256(accepted), ErrUntrusted},
		{"key of an encryption alg", set(t, with(k1, "RSA-OAEP", ""), public("k2", otherRSA())), rs256(accepted), ErrUntrusted},
		{"weak key", set(t, public("k1", weakRSA()), public("k2", otherRSA())),
			sign(t, "RS256", weakRSA(), accepted, claims("")), ErrUntrusted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys := &source{keys: providerKeys(t, tt.set)}
			_, err := newVerifier(keys).Verify(t.Context(), tt.token)
			check(t, tt.token, err, tt.want)
		})
	}
}

// ed25519Token is a token that edKey signed, whose header names the algorithm alg.
func ed25519Token(t *testing.T, alg string) string {
	t.Helper()
	return sign(t, "EdDSA", edKey(), `{"alg":"`+alg+`"}`, claims(""))
}

// TestVerifyEd25519: EdDSA and Ed25519 accept the same tokens (RFC 9864), and no
// other algorithm accepts them.
func TestVerifyEd25519(t *testing.T) {
	keys := &source{keys: providerKeys(t, set(t, public("k1", edKey())))}
	for _, accepted := range []string{"EdDSA", "Ed25519", "ES256"} {
		v := NewVerifier(issuer, []string{accepted}, 0, keys, newClock().Now)
		for _, alg := range []string{"EdDSA", "Ed25519"} {
			if _, err := v.Verify(t.Context(), ed25519Token(t, alg)); (err == nil) != (accepted != "ES256") {
				t.Errorf("%s accepted, token of %s: Verify = %v, want success: %t", accepted, alg, err, accepted != "ES256")
			}
		}
	}
}

// operations returns a set of key with that key_ops, and of another key.
func operations(t *testing.T, key jose.JSONWebKey, ops string) string {
	text := set(t, key, public("other", otherRSA()))
	return strings.Replace(text, `"kty"`, `"key_ops":`+ops+`,"kty"`, 1)
}

// TestVerifySymmetric: the public key is public, so it is no secret.
func TestVerifySymmetric(t *testing.T) {
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	pkcs1 := x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)
	secrets := map[string][]byte{
		"PKIX DER":              der,
		"PKIX PEM":              block,
		"PKIX PEM, trimmed":     block[:len(block)-1],
		"PKCS #1 DER":           pkcs1,
		"PKCS #1 PEM":           pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"JWK":                   jwk(t, public("k1", rsaKey())),
		"JWK set":               []byte(set(t, public("k1", rsaKey()))),
		"modulus":               rsaKey().N.Bytes(),
		"empty":                 {},
		"thumbprint":            []byte(providerKeys(t, set(t, public("k1", rsaKey())))[0].Thumbprint),
		"a symmetric JWK's key": []byte("0123456789abcdef0123456789abcdef"),
	}
	text := set(t, public("k1", rsaKey()), jose.JSONWebKey{Key: secrets["a symmetric JWK's key"], KeyID: "k2"})
	algorithms := append([]string{"HS256", "HS384", "HS512", "none"}, asymmetric...)
	v := NewVerifier(issuer, algorithms, 0, &source{keys: providerKeys(t, text)}, newClock().Now)
	for name, secret := range secrets {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			for _, kid := range []string{"", `,"kid":"k1"`, `,"kid":"k2"`} {
				token := sign(t, alg, secret, `{"alg":"`+alg+`"`+kid+`}`, claims(""))
				if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrUntrusted) {
					t.Errorf("%s, %s%s: Verify = %v, want ErrUntrusted", name, alg, kid, err)
				}
			}
		}
	}
}

func jwk(t *testing.T, key jose.JSONWebKey) []byte {
	t.Helper()
	text, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestVerifyNeverFollows: keys in the header, or that it points to, don't count.
func TestVerifyNeverFollows(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the verifier asked for %s", r.URL)
	}))
	defer server.Close()
	cert := base64.StdEncoding.EncodeToString([]byte("a certificate"))
	jwkMember := `"jwk":` + string(jwk(t, public("k2", otherRSA())))
	tests := []struct {
		members string
		known   bool // the provider's key is named, if one is
	}{
		{`"jku":"` + server.URL + `/jwks.json"`, true},
		{`"x5u":"` + server.URL + `/cert.pem"`, true},
		{`"iss":"` + server.URL + `"`, true},
		{`"kid":"k1","jku":"` + server.URL + `/jwks.json"`, true},
		{`"kid":"` + server.URL + `/jwks.json"`, false},
		{jwkMember, true},
		{`"kid":"k1",` + jwkMember, true},
		{`"kid":"k2",` + jwkMember, false},
		{`"x5c":["` + cert + `"]`, true},
		{`"x5t":"` + cert + `"`, true},
	}
	for _, tt := range tests {
		header := `{"alg":"RS256",` + tt.members + `}`
		token := sign(t, "RS256", otherRSA(), header, claims(""))
		_, err := verify(t, token)
		check(t, token, err, ErrUntrusted)
		_, err = verify(t, sign(t, "RS256", rsaKey(), header, claims("")))
		if (err == nil) != tt.known {
			t.Errorf("%s with the provider's signature: Verify = %v, want success: %t", tt.members, err, tt.known)
		}
	}
}

func TestVerifyAccepted(t *testing.T) {
	keys := &source{keys: providerKeys(t, set(t, public("k1", rsaKey())))}
	v := NewVerifier(issuer, []string{"PS256", "ES256"}, 0, keys, newClock().Now)
	token := sign(t, "RS256", rsaKey(), accepted, claims(""))
	_, err := v.Verify(t.Context(), token)
	check(t, token, err, ErrUntrusted)
	if keys.renewals != 0 {
		t.Error("the keys were renewed for an algorithm that isn't accepted")
	}
}

func TestVerifyOrder(t *testing.T) {
	keys := &source{err: fmt.Errorf("get: %w", ErrKeysUnavailable)}
	for token, want := range map[string]error{
		"opaque": ErrOpaque,
		sign(t, "RS256", rsaKey(), accepted, claims("")):                            ErrKeysUnavailable,
		sign(t, "RS256", rsaKey(), `{"alg":"none"}`, claims("")):                    ErrKeysUnavailable,
		sign(t, "RS256", rsaKey(), `{"alg":"RS256","crit":["x"]}`, claims("")):      ErrKeysUnavailable,
		sign(t, "RS256", rsaKey(), `{"alg":"RS256","alg":"RS256"}`, claims("")):     ErrKeysUnavailable,
		sign(t, "RS256", rsaKey(), accepted, "not JSON"):                            ErrKeysUnavailable,
		sign(t, "RS256", rsaKey(), accepted, claims("")) + "=":                      ErrKeysUnavailable,
		sign(t, "RS256", rsaKey(), `{"alg":"RS256","cty":"JWT"}`, claims("")):       ErrOpaque,
		sign(t, "RS256", rsaKey(), `{"alg":"RS256","enc":"A128GCM"}`, claims("")):   ErrOpaque,
		sign(t, "RS256", rsaKey(), "not JSON", claims("")):                          ErrOpaque,
		sign(t, "RS256", rsaKey(), accepted, fmt.Sprintf(`{"iss":%q}`, "x")) + "..": ErrOpaque,
	} {
		_, err := newVerifier(keys).Verify(t.Context(), token)
		check(t, token, err, want)
	}
}

// TestVerifyRenews: keys are renewed if none of them verifies the token.
func TestVerifyRenews(t *testing.T) {
	token := func(key crypto.Signer, header string) string { return sign(t, "RS256", key, header, claims("")) }
	tests := []struct {
		name, cached, renewed, token string
		renewals                     int
		want                         error
	}{
		{"known kid", set(t, public("k1", rsaKey())), "", token(rsaKey(), accepted), 0, nil},
		{"known kid, wrong signature", set(t, public("k1", rsaKey())), "", token(otherRSA(), accepted), 1, ErrUntrusted},
		{"new key of the kid", set(t, public("k1", otherRSA())), set(t, public("k1", rsaKey())), token(rsaKey(), accepted), 1, nil},
		{"new key of the kid, of another's token", set(t, public("k1", otherRSA())), set(t, public("k1", ecKey())),
			token(rsaKey(), accepted), 1, ErrUntrusted},
		{"new kid", set(t, public("k0", otherRSA())), set(t, public("k1", rsaKey())), token(rsaKey(), accepted), 1, nil},
		{"new kid beside a key without", set(t, public("", otherRSA())), set(t, public("", otherRSA()), public("k1", rsaKey())),
			token(rsaKey(), accepted), 1, nil},
		{"new key, no kid in the token", set(t, public("k0", otherRSA())), set(t, public("k1", rsaKey())),
			token(rsaKey(), `{"alg":"RS256"}`), 1, nil},
		{"new key, no kid in the set", set(t, public("", otherRSA())), set(t, public("", rsaKey())), token(rsaKey(), accepted), 1, nil},
		{"new key of the kid, of another type", set(t, public("k1", ecKey())), set(t, public("k1", rsaKey())),
			token(rsaKey(), accepted), 1, nil},
		{"unknown kid", set(t, public("k0", rsaKey())), "", token(rsaKey(), accepted), 1, ErrUntrusted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys := &source{keys: providerKeys(t, tt.cached)}
			if tt.renewed != "" {
				keys.renewed = providerKeys(t, tt.renewed)
			}
			_, err := newVerifier(keys).Verify(t.Context(), tt.token)
			check(t, tt.token, err, tt.want)
			if keys.renewals != tt.renewals {
				t.Errorf("the keys were renewed %d times, want %d", keys.renewals, tt.renewals)
			}
		})
	}
}

// lost is a source that can't renew its keys.
type lost struct{ source }

func (*lost) Renewed(context.Context) (ProviderKeys, error) { return nil, ErrKeysUnavailable }

func TestVerifyRenewalFails(t *testing.T) {
	keys := &lost{source{keys: providerKeys(t, set(t, public("k0", rsaKey())))}}
	token := sign(t, "RS256", rsaKey(), accepted, claims(""))
	_, err := newVerifier(keys).Verify(t.Context(), token)
	check(t, token, err, ErrKeysUnavailable)
}
