package jws

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"m2m-token-enricher/plugin/jws/libcrypto"
)

const issuer = "https://idp.example"

// TestMain lets a build with the tag libcrypto test with that library.
func TestMain(m *testing.M) {
	Accelerate(libcrypto.Load())
	os.Exit(m.Run())
}

// start is when the tests begin.
var start = time.Unix(1_800_000_000, 0)

// The tests' keys. RSA keys take long to make, so there are few. EC and Ed25519
// keys are fixed, because the processes of a fuzz target share them.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return made(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return made(rsa.GenerateKey(rand.Reader, 2048)) })
	weakRSA  = sync.OnceValue(func() *rsa.PrivateKey { return made(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return made(ecdsa.ParseRawPrivateKey(elliptic.P256(), seed(32))) })
	p384Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return made(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed(32)) })
)

func seed(n int) []byte { return bytes.Repeat([]byte{1}, n) }

func made[K any](key K, err error) K {
	if err != nil {
		panic(err)
	}
	return key
}

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// sign returns a token of the texts header and payload. secret is a key as
// the algorithm alg takes it.
func sign(t testing.TB, alg string, secret any, header, payload string) string {
	t.Helper()
	signed := encode(header) + "." + encode(payload)
	signature, err := jwt.GetSigningMethod(alg).Sign(signed, secret)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(string(signature))
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// set returns the text of a JWK set of keys, private ones as private ones.
func set(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// public returns the JWK of the public key of private, with kid.
func public(kid string, private crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{Key: private.Public(), KeyID: kid}
}

// private returns the JWK of private.
func private(private crypto.Signer) jose.JSONWebKey { return jose.JSONWebKey{Key: private} }

// providerKeys are the keys of a provider whose set is text.
func providerKeys(t testing.TB, text string) ProviderKeys {
	t.Helper()
	keys, err := ParseProviderKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// source is a KeySource of fixed answers.
type source struct {
	keys, renewed ProviderKeys
	err           error
	renewals      int
}

func (s *source) Keys(context.Context) (ProviderKeys, error) { return s.keys, s.err }

func (s *source) Renewed(context.Context) (ProviderKeys, error) {
	s.renewals++
	if s.renewed != nil {
		return s.renewed, s.err
	}
	return s.keys, s.err
}

// contains returns the first of parts that is in err's text, or "".
func contains(err error, parts ...string) string {
	for _, part := range parts {
		if strings.Contains(err.Error(), part) {
			return part
		}
	}
	return ""
}

// ringKids are the thumbprints of a ring's keys.
func ringKids(ring *Ring) []string {
	var list []string
	for _, key := range ring.Keys() {
		list = append(list, key.ID)
	}
	return list
}
