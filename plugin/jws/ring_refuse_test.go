package jws

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestParseRingRefuses(t *testing.T) {
	good := set(t, private(ecKey()))
	pkcs8 := func(key any) string { return block(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(key)) }
	p521 := made(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	damaged := strings.Replace(pkcs8(rsaKey()), "MII", "M!I", 1)
	enc := private(ecKey())
	enc.Use = "enc"
	many := make([]jose.JSONWebKey, maxRingKeys+1)
	for i := range many {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = byte(i + 1)
		many[i] = private(ed25519.NewKeyFromSeed(seed))
	}
	ed := string(jwk(t, private(edKey())))
	tests := []struct{ name, text, part string }{
		{"empty", "", "empty"},
		{"white space", " \n", "empty"},
		{"garbage", "secret", "neither"},
		{"null", "null", "0 keys"},
		{"list", "[" + good + "]", "neither"},
		{"no keys", `{"keys":[]}`, "0 keys"},
		{"another object", `{}`, "0 keys"},
		{"a key, not a set", ed, "0 keys"},
		{"unfinished", good[:len(good)-1], "neither"},
		{"text after", good + "secret", "neither"},
		{"too large", good + strings.Repeat(" ", MaxRingSize), "bytes"},
		{"too many keys", set(t, many...), "51 keys"},
		{"first key public", set(t, public("k", ecKey()), private(rsaKey())), "key 1: it must be private"},
		{"only PKIX", block(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(ecKey().Public())), "key 1: it must be private"},
		{"weak RSA", set(t, private(weakRSA())), "key 1: an RSA key of 1024 bits is too weak"},
		{"weak RSA following", set(t, private(ecKey()), public("", weakRSA())), "key 2: an RSA key of 1024 bits is too weak"},
		{"weak RSA in PEM", pkcs8(weakRSA()), "too weak"},
		{"P-384", set(t, private(p384Key())), "key 1: curve P-384 is not supported"},
		{"P-521 in PEM", pkcs8(p521), "key 1: curve P-521 is not supported"},
		{"X25519 in PEM", pkcs8(x25519(t)), "key 1: its type is not supported"},
		{"duplicate", set(t, private(ecKey()), private(edKey()), private(ecKey())), "key 3: it is in the ring twice"},
		{"duplicate, public", set(t, private(ecKey()), public("other", ecKey())), "key 2: it is in the ring twice"},
		{"oct", set(t, jose.JSONWebKey{Key: []byte("secret-secret-secret-secret-secr")}), "key 1: its type is not supported"},
		{"oct following", set(t, private(ecKey()), jose.JSONWebKey{Key: []byte("secret-secret-secret-secret-secr")}), "key 2: its type is not supported"},
		{"use enc", set(t, enc), `key 1: its use is "enc"`},
		{"algorithm of another type", set(t, algorithm(private(ecKey()), "RS256")), `key 1: its algorithm "RS256" is not supported`},
		{"RS512", set(t, algorithm(private(rsaKey()), "RS512")), `key 1: its algorithm "RS512" is not supported`},
		{"HS256", set(t, algorithm(private(rsaKey()), "HS256")), `key 1: its algorithm "HS256" is not supported`},
		{"none", set(t, algorithm(private(rsaKey()), "none")), `key 1: its algorithm "none" is not supported`},
		{"unknown type", `{"keys":[{"kty":"AKP","priv":"secret"}]}`, "key 1: not a valid JWK"},
		{"not a key", `{"keys":["secret"]}`, "key 1: not a valid JWK"},
		{"null key", `{"keys":[null]}`, "key 1"},
		{"RSA without primes", `{"keys":[{"kty":"RSA","n":"` + octets(rsaKey().N.Bytes()) + `","e":"AQAB","d":"` + octets(rsaKey().D.Bytes()) + `"}]}`,
			"key 1: not a valid JWK"},
		{"EC parts of two keys", mixed(t), "key 1: its private part doesn't belong to its public part"},
		{"EC parts of two keys, following", strings.Replace(mixed(t), `[`, `[`+ed+`,`, 1), "key 2: its private part"},
		{"Ed25519 parts of two keys", strings.Replace(set(t, private(edKey())), `"x":"`, `"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","y":"`, 1),
			"key 1: not a valid JWK"},
		{"damaged PEM", damaged, "key 1: a damaged PEM block"},
		{"damaged PEM before a good one", damaged + pkcs8(ecKey()), "key 1: a damaged PEM block"},
		{"cut PEM", pkcs8(ecKey())[:100], "key 1: a damaged PEM block"},
		{"cut PEM after a good one", pkcs8(ecKey()) + pkcs8(rsaKey())[:900], "key 2: a damaged PEM block"},
		{"text between PEM blocks", pkcs8(ecKey()) + "secret\n" + pkcs8(rsaKey()), "key 2: a damaged PEM block, or text"},
		{"text after PEM", pkcs8(ecKey()) + "secret", "key 2: a damaged PEM block, or text"},
		{"PEM of another type than it says", strings.ReplaceAll(pkcs8(ecKey()), "PRIVATE", "EC PRIVATE"), "key 1: not a valid EC PRIVATE KEY"},
		{"PEM of nothing", block(t, "PRIVATE KEY")(nil, nil), "key 1"},
		{"certificate", block(t, "CERTIFICATE")([]byte("secret"), nil), `type "CERTIFICATE" is not supported`},
		{"encrypted", block(t, "ENCRYPTED PRIVATE KEY")([]byte("secret"), nil), `type "ENCRYPTED PRIVATE KEY" is not supported`},
		{"only parameters", block(t, "EC PARAMETERS")([]byte{6, 0}, nil), "0 keys"},
	}
	secrets := []string{
		"secret", octets([]byte("secret")), octets(edKey().Seed()), raw(p384Key()), raw(p521), raw(ecKey()),
		octets(rsaKey().D.Bytes())[:16], octets(rsaKey().Primes[0].Bytes())[:16], octets(weakRSA().D.Bytes())[:16],
		rsaKey().D.String()[:16],
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ring, err := ParseRing([]byte(tt.text))
			if err == nil || ring != nil {
				t.Fatalf("ParseRing = %v, %v, want an error", ring, err)
			}
			if contains(err, tt.part) == "" {
				t.Errorf("ParseRing = %q, want %q in it", err, tt.part)
			}
			if part := contains(err, secrets...); part != "" {
				t.Errorf("ParseRing = %q, want no %q in it", err, part)
			}
		})
	}
}

// mixed returns a set of an EC key whose private part is another key's.
func mixed(t *testing.T) string {
	other := made(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return strings.Replace(set(t, private(ecKey())), raw(ecKey()), raw(other), 1)
}

// raw returns the d of key as a JWK has it.
func raw(key *ecdsa.PrivateKey) string { return octets(made(key.Bytes())) }
