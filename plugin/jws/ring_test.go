package jws

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

func parseRing(t testing.TB, text string) *Ring {
	t.Helper()
	ring, err := ParseRing([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// block returns a PEM block of what an x509.Marshal function returns.
func block(t *testing.T, kind string) func(der []byte, err error) string {
	return func(der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
}

// algorithm returns the JWK of key with that alg.
func algorithm(key jose.JSONWebKey, alg string) jose.JSONWebKey {
	key.Algorithm = alg
	return key
}

func TestParseRing(t *testing.T) {
	pkcs8 := func(key any) string { return block(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(key)) }
	pkcs1 := block(t, "RSA PRIVATE KEY")(x509.MarshalPKCS1PrivateKey(rsaKey()), nil)
	sec1 := block(t, "EC PRIVATE KEY")(x509.MarshalECPrivateKey(ecKey()))
	parameters := block(t, "EC PARAMETERS")([]byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}, nil)
	pkix := block(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(edKey().Public()))
	tests := []struct {
		name, text, alg string
		keys            []crypto.Signer
	}{
		{"JWK set, RSA", set(t, private(rsaKey())), "RS256", []crypto.Signer{rsaKey()}},
		{"JWK set, RSA of PS256", set(t, algorithm(private(rsaKey()), "PS256")), "PS256", []crypto.Signer{rsaKey()}},
		{"JWK set, EC", set(t, private(ecKey())), "ES256", []crypto.Signer{ecKey()}},
		{"JWK set, Ed25519", set(t, private(edKey())), "EdDSA", []crypto.Signer{edKey()}},
		{"JWK set with a byte order mark", "\ufeff" + set(t, private(ecKey())), "ES256", []crypto.Signer{ecKey()}},
		{"PEM with a byte order mark", "\ufeff" + sec1, "ES256", []crypto.Signer{ecKey()}},
		{"JWK set, public key following", set(t, private(edKey()), public("k", otherRSA())), "EdDSA", []crypto.Signer{edKey(), otherRSA()}},
		{"JWK set, private keys following", set(t, private(ecKey()), private(rsaKey()), private(edKey())), "ES256",
			[]crypto.Signer{ecKey(), rsaKey(), edKey()}},
		{"PKCS #8, RSA", pkcs8(rsaKey()), "RS256", []crypto.Signer{rsaKey()}},
		{"PKCS #8, EC", pkcs8(ecKey()), "ES256", []crypto.Signer{ecKey()}},
		{"PKCS #8, Ed25519", pkcs8(edKey()), "EdDSA", []crypto.Signer{edKey()}},
		{"PKCS #1", pkcs1, "RS256", []crypto.Signer{rsaKey()}},
		{"SEC 1", sec1, "ES256", []crypto.Signer{ecKey()}},
		{"SEC 1 with parameters", parameters + sec1, "ES256", []crypto.Signer{ecKey()}},
		{"PKIX following", sec1 + pkix, "ES256", []crypto.Signer{ecKey(), edKey()}},
		{"PEM with white space around", "\n\n" + pkcs1 + "\r\n\n" + parameters + "\n" + sec1 + "\n \n", "RS256",
			[]crypto.Signer{rsaKey(), ecKey()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ring := parseRing(t, tt.text)
			if ring.Algorithm() != tt.alg {
				t.Errorf("Algorithm = %s, want %s", ring.Algorithm(), tt.alg)
			}
			checkPublished(t, ring, thumbprints(t, tt.keys...))
			checkSigns(t, ring, `"at+jwt"`)
		})
	}
}

// thumbprints returns those of keys.
func thumbprints(t *testing.T, keys ...crypto.Signer) (list []string) {
	t.Helper()
	for _, key := range keys {
		list = append(list, providerKeys(t, set(t, public("", key)))[0].Thumbprint)
	}
	return list
}

// checkPublished: the ring and its set have the keys in order, with nothing
// private.
func checkPublished(t *testing.T, ring *Ring, want []string) {
	t.Helper()
	if got := ringKids(ring); !slices.Equal(got, want) {
		t.Errorf("the keys are %q, want %q", got, want)
	}
	var published struct{ Keys []map[string]any }
	if err := json.Unmarshal(ring.PublicSet(), &published); err != nil {
		t.Fatal(err)
	}
	if len(published.Keys) != len(want) {
		t.Fatalf("%d keys are published, want %d", len(published.Keys), len(want))
	}
	for i, key := range published.Keys {
		if key["kid"] != want[i] || key["use"] != "sig" || key["alg"] == nil {
			t.Errorf("key %d is published with kid %v, use %v, alg %v", i+1, key["kid"], key["use"], key["alg"])
		}
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if key[name] != nil {
				t.Errorf("key %d is published with %s", i+1, name)
			}
		}
		if !ring.Has(want[i]) {
			t.Errorf("Has is false for key %d of the ring", i+1)
		}
	}
	if ring.Has("") || ring.Has("x") {
		t.Error("Has is true for what is no thumbprint")
	}
}

// checkSigns: golang-jwt and go-jose verify a token of ring with the set that
// it publishes.
func checkSigns(t *testing.T, ring *Ring, typ string) {
	t.Helper()
	payload := `{"big":9007199254740993, "n":1.0}`
	token, err := ring.Sign(t.Context(), []byte(typ), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	var published jose.JSONWebKeySet
	if err := json.Unmarshal(ring.PublicSet(), &published); err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(ring.Algorithm())})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parsed.Verify(published); err != nil || string(got) != payload {
		t.Errorf("go-jose reads %s, %v, want %s", got, err, payload)
	}
	_, err = jwt.Parse(token, func(head *jwt.Token) (any, error) {
		kid, _ := head.Header["kid"].(string)
		if found := published.Key(kid); len(found) == 1 {
			return found[0].Key, nil
		}
		return nil, fmt.Errorf("%q isn't in the set once", kid)
	}, jwt.WithValidMethods([]string{ring.Algorithm()}))
	if err != nil {
		t.Errorf("golang-jwt: %v", err)
	}
}

func TestSignHeader(t *testing.T) {
	ring := parseRing(t, set(t, private(edKey())))
	kid := ring.Keys()[0].ID
	for typ, want := range map[string]string{
		"":                           `{"alg":"EdDSA","kid":"` + kid + `"}`,
		`"JWT"`:                      `{"alg":"EdDSA","typ":"JWT","kid":"` + kid + `"}`,
		`"application\/\u0061t+jwt"`: `{"alg":"EdDSA","typ":"application\/\u0061t+jwt","kid":"` + kid + `"}`,
	} {
		var value []byte
		if typ != "" {
			value = []byte(typ)
		}
		token, err := ring.Sign(t.Context(), value, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		head, payload, _ := strings.Cut(token, ".")
		if head != encode(want) || !strings.HasPrefix(payload, "e30.") {
			t.Errorf("Sign with typ %s = %s, want a header %s", typ, token, want)
		}
	}
}

// TestSignVerified: of the header of a verified token only typ is carried over.
func TestSignVerified(t *testing.T) {
	ring := parseRing(t, set(t, private(ecKey())))
	header := `{"kid":"k1","jku":"https://idp.example/jwks","x5t":"x","cty":"json","typ":"at\u002bjwt","x":1,"alg":"RS256"}`
	got, err := verify(t, sign(t, "RS256", rsaKey(), header, claims("")))
	if err != nil {
		t.Fatal(err)
	}
	token, err := ring.Sign(t.Context(), got.Type, got.Claims.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(token, ".")
	if want := `{"alg":"ES256","typ":"at\u002bjwt","kid":"` + ring.Keys()[0].ID + `"}`; head != encode(want) {
		t.Errorf("the header is %s in base64url, want %s", head, want)
	}
}

// TestThumbprint: the examples of RFC 8037 appendix A and RFC 7638 section 3.1.
func TestThumbprint(t *testing.T) {
	const (
		okp = `{"kty":"OKP","crv":"Ed25519","kid":"foreign","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",` +
			`"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
		rsa = `{"kty":"RSA","e":"AQAB","alg":"RS256","kid":"2011-04-29","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7a` +
			`PFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZ` +
			`gnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}`
	)
	ring := parseRing(t, `{"keys":[`+okp+`,`+rsa+`]}`)
	want := []string{"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}
	checkPublished(t, ring, want)
	if key := providerKeys(t, `{"keys":[`+rsa+`]}`)[0]; key.Thumbprint != want[1] || key.KeyID != "2011-04-29" {
		t.Errorf("the provider's key is %q with thumbprint %q, want %q", key.KeyID, key.Thumbprint, want[1])
	}
}

func TestGenerate(t *testing.T) {
	for kind, alg := range map[string]string{"rsa": "RS256", "ec": "ES256", "ed25519": "EdDSA"} {
		text, err := Generate(kind)
		if err != nil {
			t.Fatal(err)
		}
		ring := parseRing(t, string(text))
		if ring.Algorithm() != alg {
			t.Errorf("Algorithm of %s = %s, want %s", kind, ring.Algorithm(), alg)
		}
		checkPublished(t, ring, ringKids(ring))
		checkSigns(t, ring, `"JWT"`)
		if !strings.Contains(string(text), ring.Keys()[0].ID) {
			t.Errorf("the text of %s lacks its kid", kind)
		}
	}
	for _, kind := range []string{"", "RSA", "oct", "rsa4096"} {
		if _, err := Generate(kind); err == nil || !strings.Contains(err.Error(), "ed25519") {
			t.Errorf("Generate(%q) = %v, want the types there are", kind, err)
		}
	}
}

// x25519 is a key that agrees and doesn't sign.
func x25519(t *testing.T) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// octets returns b as a JWK has it.
func octets(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// TestSignaturesInTurn: a request waits for its turn until its deadline, and then
// nothing is signed for it.
func TestSignaturesInTurn(t *testing.T) {
	text, err := Generate("ec")
	if err != nil {
		t.Fatal(err)
	}
	ring := parseRing(t, string(text))
	for range cap(turns) {
		turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := ring.Sign(ctx, nil, []byte("{}"))
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("Sign = %v, want %v", err, context.Canceled)
	}
	for range cap(turns) {
		<-turns
	}
	if _, err := ring.Sign(t.Context(), nil, []byte("{}")); err != nil {
		t.Error(err)
	}
}
