package jws

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// wycheproof is the file of Project Wycheproof's JWS cases, which lies beside
// the repository.
const wycheproof = "../../../shared/vectors/wycheproof-json_web_signature.json"

// asymmetric are the algorithms that an operator may accept.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// departures are the cases that are decided against the vectors, with the reason.
var departures = map[int]string{
	1:   symmetric,
	346: "the header says PS384, the key's alg PS256",
	347: notAnAlgorithm,
	348: symmetric,
	350: "the header says PS384, the key's alg PS256",
	351: notAnAlgorithm,
	352: symmetric,
	357: symmetric,
	358: symmetric,
	359: symmetric,
	372: symmetric + "; and a character outside of base64url is refused, not skipped (RFC 7515, section 2)",
	373: symmetric + "; and a character outside of base64url is refused, not skipped (RFC 7515, section 2)",
	376: symmetric,
	377: symmetric,
}

const (
	symmetric      = "symmetric keys and algorithms are never accepted"
	notAnAlgorithm = "the key's alg is ES521; the algorithm is called ES512 (RFC 7518, section 3.4)"
)

func TestWycheproof(t *testing.T) {
	text, err := os.ReadFile(wycheproof)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the vectors of Project Wycheproof aren't at %s", wycheproof)
	}
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		NumberOfTests int
		TestGroups    []struct {
			Public json.RawMessage
			Tests  []struct {
				ID      int `json:"tcId"`
				Comment string
				JWS     string
				Result  string
			}
		}
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	ran := make(map[int]bool)
	for _, group := range vectors.TestGroups {
		for _, tt := range group.Tests {
			ran[tt.ID] = true
			t.Run(fmt.Sprintf("%d %s", tt.ID, tt.Comment), func(t *testing.T) {
				err := verifyBytes(t, group.Public, tt.JWS)
				departs := (err == nil) != (tt.Result == "valid")
				switch reason := departures[tt.ID]; {
				case departs && reason == "":
					t.Errorf("got %v, want %s", err, tt.Result)
				case !departs && reason != "":
					t.Errorf("got %v, want another verdict than the vectors: %s", err, reason)
				}
			})
		}
	}
	if len(ran) != vectors.NumberOfTests {
		t.Errorf("%d cases ran, want %d", len(ran), vectors.NumberOfTests)
	}
	for id := range departures {
		if !ran[id] {
			t.Errorf("case %d is listed but not in the vectors", id)
		}
	}
}

// verifyBytes does what Verify does up to the payload, which isn't JSON in the
// vectors. public is the provider's only key, if there is one.
func verifyBytes(t *testing.T, public json.RawMessage, token string) error {
	var keys ProviderKeys
	if public != nil {
		keys, _ = ParseProviderKeys(fmt.Appendf(nil, `{"keys":[%s]}`, public)) // none is an answer too
	}
	source := &source{keys: keys}
	c, err := decode(token)
	if err != nil {
		return err
	}
	h, err := readHeader(c.header)
	if err != nil {
		return err
	}
	v := NewVerifier(issuer, asymmetric, time.Minute, source, newClock().Now)
	key, err := v.verifySignature(t.Context(), c, h, keys)
	if err == nil && key.Thumbprint == "" {
		t.Error("the key has no thumbprint")
	}
	return err
}
