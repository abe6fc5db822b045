package e2e

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"sigs.k8s.io/yaml"
)

// providerSample is what a provider publishes and answers, as its documentation shows
// it. The times in claims are seconds from now.
type providerSample struct {
	Discovery struct {
		URL      string
		Document map[string]any
	}
	Keys struct {
		URL string
		// Set has the members of each key. "make" is the kind of key that is made
		// for it. A member that is "certificate" is derived from a certificate of
		// the key.
		Set []map[string]string
	}
	Records   map[string]map[string]string // by key, without the prefix
	Exchanges map[string]sampleExchange

	made []madeKey
}

type madeKey struct {
	kid     string
	private crypto.Signer
}

// sampleExchange is a request, the answer, and what the client must get.
type sampleExchange struct {
	Request struct {
		Path, Type, Body string
		Basic            string         // NAME:PASSWORD, "" without
		Assertion        map[string]any // the claims of ASSERTION in Body
	}
	Token   struct{ Header, Claims map[string]any }
	IDToken map[string]any `json:"id_token"` // its claims, nil without one
	Answer  map[string]any // without the tokens
	Adds    map[string]any // the claims that the gateway adds
	Passes  bool           // the client gets the provider's answer
}

// readSample reads a sample and makes its keys.
func readSample(t *testing.T, path string) *providerSample {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &providerSample{}
	if err := yaml.UnmarshalStrict(text, s); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, key := range s.Keys.Set {
		s.made = append(s.made, madeKey{key["kid"], makeKey(t, key["make"])})
	}
	return s
}

func makeKey(t *testing.T, kind string) (private crypto.Signer) {
	t.Helper()
	var err error
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	switch curve, ok := curves[kind]; {
	case ok:
		private, err = ecdsa.GenerateKey(curve, rand.Reader)
	case kind == "RSA":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no kind of key %q", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// jwks returns the provider's JWK set.
func (s *providerSample) jwks(t *testing.T) map[string]any {
	t.Helper()
	var keys []map[string]any
	for i, members := range s.Keys.Set {
		public, err := jose.JSONWebKey{Key: s.made[i].private.Public()}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		key := map[string]any{}
		if err := json.Unmarshal(public, &key); err != nil {
			t.Fatal(err)
		}
		der := certify(t, s.made[i].private, members["x5c"] == "negative serial number")
		sha1Sum, sha256Sum := sha1.Sum(der), sha256.Sum256(der)
		derived := map[string]any{
			"x5c": []string{base64.StdEncoding.EncodeToString(der)},
			"x5t": base64.RawURLEncoding.EncodeToString(sha1Sum[:]), "x5t#S256": base64.RawURLEncoding.EncodeToString(sha256Sum[:]),
		}
		for name, value := range members {
			key[name] = value
			if value == "certificate" || name == "x5c" {
				key[name] = derived[name]
			}
		}
		delete(key, "make")
		keys = append(keys, key)
	}
	return map[string]any{"keys": keys}
}

// certify returns a certificate of the key. Go makes none with a negative serial
// number, so that the sign is turned afterwards.
func certify(t *testing.T, key crypto.Signer, negative bool) []byte {
	t.Helper()
	serial := new(big.Int).SetBytes(append([]byte{0x7f}, bytes.Repeat([]byte{0x5a}, 15)...))
	template := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if !negative {
		return der
	}
	turned := append([]byte{0x80}, serial.Bytes()[1:]...)
	der = bytes.Replace(der, serial.Bytes(), turned, 1)
	if _, err := x509.ParseCertificate(der); err == nil || !strings.Contains(err.Error(), "negative serial number") {
		t.Fatalf("parse the certificate: got %v, want an error about its negative serial number", err)
	}
	return der
}

// sign signs claims with the key that the header names by kid or, in AD FS, by
// x5t. As in Microsoft Graph's tokens, a nonce in the header is signed as its
// hash, which only Microsoft Graph can verify.
func (s *providerSample) sign(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	name, _ := header["kid"].(string)
	if name == "" {
		name, _ = header["x5t"].(string)
	}
	var private crypto.Signer
	for _, key := range s.made {
		if key.kid == name || name == "" {
			private = key.private
			break
		}
	}
	if private == nil {
		t.Fatalf("no key %q", name)
	}
	payload := part(t, fromNow(claims))
	signedHeader := maps.Clone(header)
	if nonce, ok := header["nonce"].(string); ok {
		sum := sha256.Sum256([]byte(nonce))
		signedHeader["nonce"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	signature, err := jwt.GetSigningMethod(header["alg"].(string)).Sign(part(t, signedHeader)+"."+payload, private)
	if err != nil {
		t.Fatal(err)
	}
	return part(t, header) + "." + payload + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// part is a part of a compact JWS (RFC 7515, section 7.1).
func part(t *testing.T, value map[string]any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// fromNow returns claims with their times added to now.
func fromNow(claims map[string]any) map[string]any {
	claims = maps.Clone(claims)
	for _, name := range []string{"exp", "iat", "nbf", "auth_time"} {
		if seconds, ok := claims[name].(float64); ok {
			claims[name] = time.Now().Unix() + int64(seconds)
		}
	}
	return claims
}

// answer returns the provider's answer, and the token in it.
func (s *providerSample) answer(t *testing.T, x sampleExchange) (body []byte, token string) {
	t.Helper()
	members := maps.Clone(x.Answer)
	token = s.sign(t, x.Token.Header, x.Token.Claims)
	members["access_token"] = token
	if x.IDToken != nil {
		members["id_token"] = s.sign(t, x.Token.Header, x.IDToken)
	}
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return body, token
}

// body returns the body of the request.
func (s *providerSample) body(t *testing.T, x sampleExchange) string {
	t.Helper()
	if x.Request.Assertion == nil {
		return x.Request.Body
	}
	stranger := &providerSample{made: []madeKey{{"client", makeKey(t, "RSA")}}}
	assertion := stranger.sign(t, map[string]any{"alg": "RS256", "kid": "client", "typ": "JWT"}, x.Request.Assertion)
	return strings.ReplaceAll(x.Request.Body, "ASSERTION", assertion)
}
