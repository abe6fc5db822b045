package jws

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// jwkWith returns the public JWK of key as text, with members changed. A nil value
// removes a member.
func jwkWith(t testing.TB, key crypto.Signer, changes map[string]any) string {
	t.Helper()
	text, err := public("k1", key).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	maps.Copy(members, changes)
	maps.DeleteFunc(members, func(_ string, v any) bool { return v == nil })
	if text, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSkippedKeys: a key that is skipped has its place, its kid and the reason.
func TestSkippedKeys(t *testing.T) {
	for _, tt := range []struct {
		name, key, want string
		encrypts        bool
	}{
		{"a number", `7`, "key 2 without kid: not a JSON object", false},
		{"nothing", `{}`, "key 2 without kid: kty is missing", false},
		{"kid a number", jwkWith(t, ecKey(), map[string]any{"kid": 1}), "key 2 without kid: kid is not a string", false},
		{"another type", `{"kty":"AKP","kid":"a","alg":"ES256"}`, `key 2, kid "a": its kty "AKP" is not supported`, false},
		{"a symmetric key", `{"kty":"oct","kid":"s","k":"AAAA"}`, `key 2, kid "s": its kty "oct" is not supported`, false},
		{"another curve", `{"kty":"EC","kid":"b","crv":"secp256k1","x":"AA","y":"AA"}`, `its crv "secp256k1" is not supported`, false},
		{"Ed448", `{"kty":"OKP","kid":"b","crv":"Ed448","x":"AA"}`, `its crv "Ed448" is not supported`, false},
		{"no modulus", jwkWith(t, rsaKey(), map[string]any{"n": nil}), `key 2, kid "k1": n is missing`, false},
		{"a modulus that is no text", jwkWith(t, rsaKey(), map[string]any{"n": "*"}), "n is not base64url", false},
		{"a modulus that is a number", jwkWith(t, rsaKey(), map[string]any{"n": 65537}), "n is not base64url", false},
		{"exponent 1", jwkWith(t, rsaKey(), map[string]any{"e": "AQ"}), "not a valid RSA key", false},
		{"a weak key", jwkWith(t, weakRSA(), nil), "an RSA key of 1024 bits is too weak", false},
		{"a point off the curve", jwkWith(t, ecKey(), map[string]any{"x": "AA"}), "not a valid EC key", false},
		{"a short Ed25519 key", jwkWith(t, edKey(), map[string]any{"x": "AA"}), "not a valid OKP key", false},
		{"kty twice", strings.Replace(jwkWith(t, ecKey(), nil), "{", `{"kty":"EC",`, 1), "kty is there twice", false},
		{"another alg", jwkWith(t, rsaKey(), map[string]any{"alg": "ES256"}), `its alg "ES256" doesn't fit its kty or crv`, false},
		{"an unknown alg", jwkWith(t, rsaKey(), map[string]any{"alg": "HS256"}), `its alg "HS256" is not supported`, false},
		{"an unknown use", jwkWith(t, rsaKey(), map[string]any{"use": "SIG"}), `its use is "SIG", not sig`, false},
		{"no operation", jwkWith(t, rsaKey(), map[string]any{"key_ops": []string{}}), "its key_ops has no verify", false},
		{"operations in a text", jwkWith(t, rsaKey(), map[string]any{"key_ops": "verify"}), "key_ops is not an array of strings", false},
		{"use enc", jwkWith(t, rsaKey(), map[string]any{"use": "enc"}), "its use is enc: made for encryption", true},
		{"RSA-OAEP", jwkWith(t, rsaKey(), map[string]any{"alg": "RSA-OAEP"}), `its alg is "RSA-OAEP": made for encryption`, true},
		{"use enc with a bad modulus", `{"kty":"RSA","use":"enc","n":"*"}`, "made for encryption", true},
		{"wrapKey", jwkWith(t, rsaKey(), map[string]any{"key_ops": []string{"wrapKey"}}), "its key_ops has no verify: made for encryption", true},
		{"X25519", `{"kty":"OKP","crv":"X25519","x":"AA"}`, "its crv is X25519: made for encryption", true},
		{"a long kid", jwkWith(t, ecKey(), map[string]any{"kid": strings.Repeat("k", 9999), "use": "enc"}), strings.Repeat("k", 100) + `"`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := ParseProviderSet(fmt.Appendf(nil, `{"keys":[%s,%s]}`, jwkWith(t, edKey(), map[string]any{"kid": "good"}), tt.key))
			if err != nil || kids(set.Keys) != "good" || len(set.Skipped) != 1 {
				t.Fatalf("got keys %q, skipped %v, %v, want good, and one skipped", kids(set.Keys), set.Skipped, err)
			}
			if got := set.Skipped[0]; !strings.Contains(got.String(), tt.want) || got.Encrypts != tt.encrypts {
				t.Errorf("got %q, made for encryption: %t, want %q, %t", got, got.Encrypts, tt.want, tt.encrypts)
			}
			if faulty := len(Faulty(set.Skipped)); faulty == 0 != tt.encrypts {
				t.Errorf("got %d faulty keys, want some: %t", faulty, !tt.encrypts)
			}
			_, err = ParseProviderSet(fmt.Appendf(nil, `{"keys":[%s]}`, tt.key))
			if err == nil || !strings.Contains(err.Error(), set.Skipped[0].Reason) {
				t.Errorf("alone: got %v, want the reason %q", err, set.Skipped[0].Reason)
			}
		})
	}
}

// TestManySkippedKeys: an error names the first few.
func TestManySkippedKeys(t *testing.T) {
	_, err := ParseProviderSet([]byte(`{"keys":[1,2,3,4,5,6,7]}`))
	if err == nil || !strings.Contains(err.Error(), "key 5 ") || strings.Contains(err.Error(), "key 6 ") || !strings.HasSuffix(err.Error(), "and 2 more") {
		t.Errorf("got %v, want five keys and two more", err)
	}
}

// TestNumberNotations: the octets of a number decide, not how they are written.
func TestNumberNotations(t *testing.T) {
	notations := map[string]func([]byte) string{
		"base64url":         base64.RawURLEncoding.EncodeToString,
		"padded base64url":  base64.URLEncoding.EncodeToString,
		"base64":            base64.RawStdEncoding.EncodeToString,
		"padded base64":     base64.StdEncoding.EncodeToString,
		"a leading zero":    func(b []byte) string { return base64.RawURLEncoding.EncodeToString(append([]byte{0}, b...)) },
		"base64 in lines":   func(b []byte) string { return lines(base64.StdEncoding.EncodeToString(b)) },
		"without its zeros": func(b []byte) string { return base64.RawURLEncoding.EncodeToString(new(big.Int).SetBytes(b).Bytes()) },
	}
	for _, tt := range []struct {
		key     crypto.Signer
		numbers []string
	}{
		{rsaKey(), []string{"n", "e"}}, {ecKey(), []string{"x", "y"}}, {p384Key(), []string{"x", "y"}}, {edKey(), []string{"x"}},
	} {
		text := jwkWith(t, tt.key, nil)
		want := providerKeys(t, `{"keys":[`+text+`]}`)[0].Thumbprint
		var members map[string]any
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatal(err)
		}
		for name, write := range notations {
			if len(tt.numbers) == 1 && (name == "a leading zero" || name == "without its zeros") {
				continue // the octets of an Ed25519 key are no number
			}
			changes := map[string]any{}
			for _, number := range tt.numbers {
				octets, err := base64.RawURLEncoding.DecodeString(members[number].(string))
				if err != nil {
					t.Fatal(err)
				}
				changes[number] = write(octets)
			}
			keys, err := ParseProviderKeys([]byte(`{"keys":[` + jwkWith(t, tt.key, changes) + `]}`))
			if err != nil || keys[0].Thumbprint != want {
				t.Errorf("%s of %T: got %v, %v, want the same key", name, tt.key, keys, err)
			}
		}
	}
}

func lines(s string) (broken string) {
	for part := range slices.Chunk([]byte(s), 64) {
		broken += string(part) + "\r\n"
	}
	return broken
}

// TestPrivateMembers: a member that only a private key has refuses the set, also in
// a key that would be skipped.
func TestPrivateMembers(t *testing.T) {
	for _, name := range PrivateMembers {
		for _, key := range []string{jwkWith(t, rsaKey(), map[string]any{name: "AQ"}), `{"kty":"?","use":"enc","` + name + `":[]}`} {
			_, err := ParseProviderSet(fmt.Appendf(nil, `{"keys":[%s,%s]}`, jwkWith(t, ecKey(), nil), key))
			if err == nil || err.Error() != "key 2 is private" {
				t.Errorf("%s: got %v, want that key 2 is private", name, err)
			}
		}
	}
}

// TestSetWithMark: a set may begin with a byte order mark.
func TestSetWithMark(t *testing.T) {
	if keys := providerKeys(t, "\ufeff"+set(t, public("k1", ecKey()))); kids(keys) != "k1" {
		t.Errorf("got the keys %q, want k1", kids(keys))
	}
}

// foreign are members that say nothing about a key, as providers spoil them.
var foreign = [][2]string{
	{"x5c", `["AAAA"]`}, {"x5c", `["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"]`}, {"x5c", `[]`}, {"x5c", `"text"`}, {"x5c", `{"a":[1]}`},
	{"x5t", `"AAAA"`}, {"x5t", `"not base64!"`}, {"x5t", `7`}, {"x5t#S256", `"AAAA"`}, {"x5t#S256", `null`}, {"x5u", `"http://[::1"`},
	{"nbf", `1e999`}, {"exp", `"soon"`}, {"issuer", `"https://idp.example"`}, {"ext", `"true"`}, {"iat", `-1`},
	{"Kty", `"oct"`}, {"USE", `"enc"`}, {"D", `"AQ"`}, {"", `""`}, {"\ufeffuse", `"enc"`}, {"use ", `"enc"`},
}

// FuzzForeignMembers: the verdict on a key is the same with and without a member
// that isn't one of those that decide.
func FuzzForeignMembers(f *testing.F) {
	samples := []string{
		jwkWith(f, rsaKey(), nil), jwkWith(f, ecKey(), map[string]any{"use": "sig", "alg": "ES256"}), jwkWith(f, edKey(), nil),
		jwkWith(f, rsaKey(), map[string]any{"use": "enc"}), jwkWith(f, ecKey(), map[string]any{"x": "AA"}), `{"kid":"k1"}`,
	}
	for _, member := range foreign {
		f.Add(member[0], []byte(member[1]), member[0], []byte(member[1]))
		f.Add(member[0], []byte(member[1]), "x5t", []byte(`"?"`))
	}
	f.Fuzz(func(t *testing.T, name string, value []byte, second string, secondValue []byte) {
		var added string
		for _, m := range []struct {
			name  string
			value []byte
		}{{name, value}, {second, secondValue}} {
			quoted, err := json.Marshal(m.name)
			var read string
			if err != nil || json.Unmarshal(quoted, &read) != nil || !json.Valid(m.value) || len(m.value) > 1000 ||
				slices.Contains(deciding, read) || slices.Contains(PrivateMembers, read) {
				return
			}
			added += fmt.Sprintf("%s:%s,", quoted, m.value)
		}
		for _, sample := range samples {
			plain, plainErr := ParseProviderSet([]byte(`{"keys":[` + sample + `]}`))
			spoiled, err := ParseProviderSet([]byte(`{"keys":[` + strings.Replace(sample, "{", "{"+added, 1) + `]}`))
			if verdict(plain, plainErr) != verdict(spoiled, err) {
				t.Errorf("with %s: got %s, want %s", added, verdict(spoiled, err), verdict(plain, plainErr))
			}
		}
	})
}

func verdict(set ProviderSet, err error) string {
	var list []string
	for _, key := range set.Keys {
		list = append(list, fmt.Sprintf("%s %s %s", key.KeyID, key.Algorithm, key.Thumbprint))
	}
	return fmt.Sprint(list, set.Skipped, err)
}
