package test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/test/idptest"
)

// publisher is a gateway's key set over HTTP, without the gateway.
type publisher struct {
	*httptest.Server
	ring atomic.Pointer[jws.Ring]
}

func startPublisher(t *testing.T, ring *jws.Ring) *publisher {
	t.Helper()
	p := &publisher{}
	p.ring.Store(ring)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/m2m/jwks.json" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(p.ring.Load().PublicSet())
	}))
	t.Cleanup(p.Close)
	return p
}

// generated returns a new key of a type that "keys generate" makes.
func generated(t *testing.T, kind string) jws.Key {
	t.Helper()
	var key jws.Key
	var err error
	switch kind {
	case "rsa":
		key.Signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ec":
		key.Signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key.Signer, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ringOf returns the ring of keys. The first one signs.
func ringOf(t *testing.T, keys ...jws.Key) *jws.Ring {
	t.Helper()
	ring, err := jws.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// verifyClaims are the claims of a good token, with a change.
func verifyClaims(change func(map[string]any)) map[string]any {
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": verifyIssuer, "aud": []string{verifyAudience, "https://other.example"}, "azp": "client", "org_code": "org_1",
		"iat": now - 7200, "exp": now + 3600,
	}
	if change != nil {
		change(claims)
	}
	return claims
}

func signed(t *testing.T, ring *jws.Ring, change func(map[string]any)) string {
	t.Helper()
	payload, err := json.Marshal(verifyClaims(change))
	if err != nil {
		t.Fatal(err)
	}
	token, err := ring.Sign(t.Context(), []byte(`"JWT"`), payload)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// forged are tokens that an API must refuse, by what is wrong with them. The
// gateway signs with ring.
func forged(t *testing.T, ring *jws.Ring) map[string]string {
	t.Helper()
	provider, err := idptest.Start(verifyIssuer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.Close)
	if err := provider.Rotate(strings.Replace(ring.Algorithm(), "PS256", "RS256", 1)); err != nil {
		t.Fatal(err)
	}
	raw, err := provider.Sign(verifyClaims(nil))
	if err != nil {
		t.Fatal(err)
	}
	_, private := provider.Key()
	kid := ring.Keys()[0].ID
	good := signed(t, ring, nil)
	payload := strings.Split(good, ".")[1]
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	without := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	return map[string]string{
		"signed by the provider":                       raw,
		"signed by the provider in the gateway's name": withKey(t, jwt.GetSigningMethod(ring.Algorithm()), kid, private),
		"signed with the public set as a secret":       withKey(t, jwt.SigningMethodHS256, kid, ring.PublicSet()),
		"another audience":                             signed(t, ring, set("aud", "https://other.example")),
		"an audience that only begins alike":           signed(t, ring, set("aud", verifyAudience+"/x")),
		"no audience":                                  signed(t, ring, without("aud")),
		"expired":                                      signed(t, ring, set("exp", time.Now().Unix()-120)),
		"no expiry":                                    signed(t, ring, without("exp")),
		"not yet valid":                                signed(t, ring, set("nbf", time.Now().Unix()+600)),
		"another issuer":                               signed(t, ring, set("iss", verifyIssuer+"/")),
		"no issuer":                                    signed(t, ring, without("iss")),
		"alg none":                                     encode(`{"alg":"none","kid":"`+kid+`"}`) + "." + payload + ".",
		"alg none with the signature":                  encode(`{"alg":"none","kid":"`+kid+`"}`) + good[strings.Index(good, "."):],
		"another payload":                              strings.Replace(good, payload, encode(`{"iss":"`+verifyIssuer+`","aud":"`+verifyAudience+`","exp":9999999999}`), 1),
		"nothing":                                      "",
		"no token":                                     "x",
	}
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func withKey(t *testing.T, method jwt.SigningMethod, kid string, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(verifyClaims(nil)))
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
