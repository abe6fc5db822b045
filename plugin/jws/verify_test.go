package jws

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// claims is a payload of an accepted token, with rest added.
func claims(rest string) string {
	return fmt.Sprintf(`{"iss":%q,"sub":"secret-subject","exp":%d%s}`, issuer, start.Unix()+60, rest)
}

// accepted is a header of an accepted token.
const accepted = `{"alg":"RS256","kid":"k1","typ":"JWT"}`

// newVerifier returns a verifier that accepts every algorithm.
func newVerifier(keys KeySource) *Verifier {
	return NewVerifier(issuer, asymmetric, time.Minute, keys, newClock().Now)
}

// verify verifies token with the public key of rsaKey as k1.
func verify(t *testing.T, token string) (*Token, error) {
	t.Helper()
	keys := &source{keys: providerKeys(t, set(t, public("k1", rsaKey())))}
	return newVerifier(keys).Verify(t.Context(), token)
}

// check compares err with want and looks for parts of token in its text.
func check(t *testing.T, token string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("Verify = %v, want %v", err, want)
	}
	if err == nil {
		return
	}
	for _, other := range []error{ErrOpaque, ErrKeysUnavailable, ErrUntrusted} {
		if other != want && errors.Is(err, other) {
			t.Errorf("Verify = %v, want it not to wrap %v", err, other)
		}
	}
	secrets := []string{"secret", "9223372036854775807"}
	for _, segment := range strings.Split(token, ".") {
		if len(segment) > 8 {
			secrets = append(secrets, segment[:8], segment[len(segment)-8:])
		}
	}
	if part := contains(err, secrets...); part != "" {
		t.Errorf("Verify = %q, want no %q in it", err, part)
	}
}

func TestVerifyHeader(t *testing.T) {
	tests := []struct {
		name, header string
		want         error
	}{
		{"as providers write it", accepted, nil},
		{"without kid and typ", `{"alg":"RS256"}`, nil},
		{"typ in lower case", `{"alg":"RS256","typ":"jwt"}`, nil},
		{"typ at+jwt", `{"alg":"RS256","typ":"at+jwt"}`, nil},
		{"typ AT+JWT", `{"alg":"RS256","typ":"AT+JWT"}`, nil},
		{"typ application/at+jwt", `{"alg":"RS256","typ":"application/at+jwt"}`, nil},
		{"typ Application/JWT", `{"alg":"RS256","typ":"Application/JWT"}`, nil},
		{"typ of a logout token", `{"alg":"RS256","typ":"logout+jwt"}`, ErrUntrusted},
		{"typ of an event", `{"alg":"RS256","typ":"secevent+jwt"}`, ErrUntrusted},
		{"typ of a DPoP proof", `{"alg":"RS256","typ":"dpop+jwt"}`, ErrUntrusted},
		{"typ application/application/jwt", `{"alg":"RS256","typ":"application/application/jwt"}`, ErrUntrusted},
		{"typ with a space", `{"alg":"RS256","typ":"JWT "}`, ErrUntrusted},
		{"typ empty", `{"alg":"RS256","typ":""}`, ErrUntrusted},
		{"typ null", `{"alg":"RS256","typ":null}`, ErrUntrusted},
		{"typ a list", `{"alg":"RS256","typ":["JWT"]}`, ErrUntrusted},
		{"unknown member", `{"alg":"RS256","secret":[1,{"a":null}]}`, nil},
		{"alg missing", `{"kid":"k1"}`, ErrUntrusted},
		{"alg null", `{"alg":null}`, ErrUntrusted},
		{"alg a list", `{"alg":["RS256"]}`, ErrUntrusted},
		{"alg empty", `{"alg":""}`, ErrUntrusted},
		{"alg in lower case", `{"alg":"rs256"}`, ErrUntrusted},
		{"alg with a space", `{"alg":"RS256 "}`, ErrUntrusted},
		{"alg unknown", `{"alg":"RSXXX"}`, ErrUntrusted},
		{"alg named ALG", `{"ALG":"RS256"}`, ErrUntrusted},
		{"alg none", `{"alg":"none"}`, ErrUntrusted},
		{"alg NONE", `{"alg":"NONE"}`, ErrUntrusted},
		{"another alg of the same key", `{"alg":"RS512"}`, ErrUntrusted},
		{"alg twice", `{"alg":"RS256","alg":"RS256"}`, ErrUntrusted},
		{"alg twice, once escaped", `{"alg":"RS256","\u0061lg":"none"}`, ErrUntrusted},
		{"duplicate in an unknown member", `{"alg":"RS256","x":{"secret":1,"secret":2}}`, ErrUntrusted},
		{"crit of an unknown extension", `{"alg":"RS256","crit":["secret"],"secret":1}`, ErrUntrusted},
		{"crit empty", `{"alg":"RS256","crit":[]}`, ErrUntrusted},
		{"crit null", `{"alg":"RS256","crit":null}`, ErrUntrusted},
		{"crit and b64", `{"alg":"RS256","crit":["b64"],"b64":true}`, ErrUntrusted},
		{"b64 true", `{"alg":"RS256","b64":true}`, ErrUntrusted},
		{"b64 false", `{"alg":"RS256","b64":false}`, ErrUntrusted},
		{"kid a number", `{"alg":"RS256","kid":1}`, ErrUntrusted},
		{"kid null", `{"alg":"RS256","kid":null}`, ErrUntrusted},
		{"kid a list", `{"alg":"RS256","kid":["k1"]}`, ErrUntrusted},
		{"kid empty", `{"alg":"RS256","kid":""}`, ErrUntrusted},
		{"kid in another case", `{"alg":"RS256","kid":"K1"}`, ErrUntrusted},
		{"kid with a zero byte", `{"alg":"RS256","kid":"k1\u0000"}`, ErrUntrusted},
		{"kid a path", `{"alg":"RS256","kid":"../../etc/passwd"}`, ErrUntrusted},
		{"kid a Redis key", `{"alg":"RS256","kid":"m2m:idp.example:app:secret"}`, ErrUntrusted},
		{"kid a query", `{"alg":"RS256","kid":"' UNION SELECT 'secret"}`, ErrUntrusted},
		{"cty JWT", `{"alg":"RS256","cty":"JWT"}`, ErrOpaque},
		{"cty application/jwt", `{"alg":"RS256","cty":"application/jwt"}`, ErrOpaque},
		{"cty of something else", `{"alg":"RS256","cty":"application/json"}`, nil},
		{"enc", `{"alg":"RSA-OAEP","enc":"A256GCM"}`, ErrOpaque},
		{"empty object", `{}`, ErrUntrusted},
		{"byte order mark", "\ufeff" + accepted, ErrUntrusted},
		{"invalid UTF-8", "{\"alg\":\"RS256\",\"x\":\"secret\xff\"}", ErrUntrusted},
		{"lone surrogate", `{"alg":"RS256","x":"\ud800"}`, ErrUntrusted},
		{"text after", accepted + "secret", ErrUntrusted},
		{"nesting bomb", `{"alg":"RS256","x":` + strings.Repeat("[", 100_000), ErrUntrusted},
		{"not JSON", "secret", ErrOpaque},
		{"empty", "", ErrOpaque},
		{"a list", `["RS256"]`, ErrOpaque},
		{"a string", `"secret"`, ErrOpaque},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := sign(t, "RS256", rsaKey(), tt.header, claims(""))
			got, err := verify(t, token)
			check(t, token, err, tt.want)
			if err == nil && got.Key != providerKeys(t, set(t, public("", rsaKey())))[0].Thumbprint {
				t.Errorf("Key = %q, want the key's thumbprint", got.Key)
			}
		})
	}
}

func TestVerifyType(t *testing.T) {
	for header, want := range map[string]string{
		`{"alg":"RS256"}`:                             "",
		`{"alg":"RS256", "typ" : "at+jwt" }`:          `"at+jwt"`,
		`{"typ":"\u0061t+JWT","alg":"RS256"}`:         `"\u0061t+JWT"`,
		`{"typ":"application\/at+jwt","alg":"RS256"}`: `"application\/at+jwt"`,
	} {
		got, err := verify(t, sign(t, "RS256", rsaKey(), header, claims("")))
		if err != nil {
			t.Errorf("Verify with %s = %v, want no error", header, err)
		} else if string(got.Type) != want || (got.Type == nil) != (want == "") {
			t.Errorf("Type of %s is %s, want %s", header, got.Type, want)
		}
	}
}

func TestVerifyPayload(t *testing.T) {
	now := start.Unix()
	tests := []struct {
		name, payload string
		want          error
	}{
		{"as providers write it", claims(`,"aud":["a","b"],"iat":1,"nbf":1`), nil},
		{"no aud", claims(""), nil},
		{"aud a string", claims(`,"aud":"a"`), nil},
		{"aud an empty list", claims(`,"aud":[]`), nil},
		{"aud a number", claims(`,"aud":9223372036854775807`), ErrUntrusted},
		{"aud null", claims(`,"aud":null`), ErrUntrusted},
		{"aud mixed", claims(`,"aud":["secret",1]`), ErrUntrusted},
		{"aud an object", claims(`,"aud":{"secret":1}`), ErrUntrusted},
		{"another issuer", fmt.Sprintf(`{"iss":"https://secret.example","exp":%d}`, now+60), ErrUntrusted},
		{"issuer with trailing slash", fmt.Sprintf(`{"iss":"%s/","exp":%d}`, issuer, now+60), ErrUntrusted},
		{"issuer in another case", fmt.Sprintf(`{"iss":"https://IDP.example","exp":%d}`, now+60), ErrUntrusted},
		{"issuer missing", fmt.Sprintf(`{"exp":%d}`, now+60), ErrUntrusted},
		{"issuer null", fmt.Sprintf(`{"iss":null,"exp":%d}`, now+60), ErrUntrusted},
		{"issuer in a list", fmt.Sprintf(`{"iss":[%q],"exp":%d}`, issuer, now+60), ErrUntrusted},
		{"issuer named ISS", fmt.Sprintf(`{"ISS":%q,"exp":%d}`, issuer, now+60), ErrUntrusted},
		{"expired within the leeway", expiring("%d", now-59), nil},
		{"expired at the leeway", expiring("%d", now-60), ErrUntrusted},
		{"expired long ago", expiring("%d", now-9999), ErrUntrusted},
		{"exp missing", fmt.Sprintf(`{"iss":%q}`, issuer), ErrUntrusted},
		{"exp named EXP", fmt.Sprintf(`{"iss":%q,"EXP":%d}`, issuer, now+60), ErrUntrusted},
		{"exp and EXP", claims(`,"EXP":1`), nil},
		{"exp null", expiring("null"), ErrUntrusted},
		{"exp a string", expiring(`"%d"`, now+60), ErrUntrusted},
		{"exp a list", expiring("[%d]", now+60), ErrUntrusted},
		{"exp true", expiring("true"), ErrUntrusted},
		{"exp zero", expiring("0"), ErrUntrusted},
		{"exp negative", expiring("-1"), ErrUntrusted},
		{"exp minus zero", expiring("-0"), ErrUntrusted},
		{"exp a fraction", expiring("%d.25", now+60), nil},
		{"exp a fraction of the leeway's end", expiring("%d.999", now-60), ErrUntrusted},
		{"exp with an exponent", expiring("1.9e9"), nil},
		{"exp in milliseconds", expiring("%d000", now+60), ErrUntrusted},
		{"exp in the year 9999", expiring("253402300799"), nil},
		{"exp in the year 10000", expiring("253402300800"), ErrUntrusted},
		{"exp the largest int64", expiring("9223372036854775807"), ErrUntrusted},
		{"exp beyond int64", expiring("9223372036854775808"), ErrUntrusted},
		{"exp 1e400", expiring("1e400"), ErrUntrusted},
		{"exp -1e400", expiring("-1e400"), ErrUntrusted},
		{"exp 1e-400", expiring("1e-400"), ErrUntrusted},
		{"nbf within the leeway", claims(fmt.Sprintf(`,"nbf":%d`, now+60)), nil},
		{"nbf beyond the leeway", claims(fmt.Sprintf(`,"nbf":%d`, now+61)), ErrUntrusted},
		{"nbf a string", claims(`,"nbf":"1"`), ErrUntrusted},
		{"nbf null", claims(`,"nbf":null`), ErrUntrusted},
		{"duplicate", claims(`,"sub":"secret-subject"`), ErrUntrusted},
		{"duplicate, once escaped", claims(`,"\u0073ub":"secret-subject"`), ErrUntrusted},
		{"duplicate below", claims(`,"x":[{"secret":1,"secret":2}]`), ErrUntrusted},
		{"byte order mark", "\ufeff" + claims(""), ErrUntrusted},
		{"invalid UTF-8", claims(",\"x\":\"secret\xff\""), ErrUntrusted},
		{"lone surrogate", claims(`,"x":"secret\ud800"`), ErrUntrusted},
		{"bad escape", claims(`,"x":"\secret"`), ErrUntrusted},
		{"text after", claims("") + "secret", ErrUntrusted},
		{"nesting bomb", claims(`,"x":` + strings.Repeat("[", 100_000)), ErrUntrusted},
		{"closed nesting bomb", claims(`,"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)), ErrUntrusted},
		{"empty", "", ErrUntrusted},
		{"not JSON", "secret", ErrUntrusted},
		{"a list", "[" + claims("") + "]", ErrUntrusted},
		{"null", "null", ErrUntrusted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := sign(t, "RS256", rsaKey(), accepted, tt.payload)
			_, err := verify(t, token)
			check(t, token, err, tt.want)
		})
	}
}

// TestVerifyIssuers: each of several issuers is accepted as it is written, and no
// other one.
func TestVerifyIssuers(t *testing.T) {
	keys := &source{keys: providerKeys(t, set(t, public("k1", rsaKey())))}
	v := NewVerifier(issuer, asymmetric, 0, keys, newClock().Now, "https://idp.example/v1/", "no URL")
	for iss, trusted := range map[string]bool{
		`"https://idp.example"`: true, `"https://idp.example/v1/"`: true, `"https:\/\/idp.example\/v1\/"`: true, `"no URL"`: true,
		`"https://idp.example/"`: false, `"https://idp.example/v1"`: false, `"https://idp.example/V1/"`: false, `"NO URL"`: false,
		`"https://idp.example/v1/ "`: false, `""`: false, `null`: false, `["no URL"]`: false, `"no URL,https://idp.example"`: false,
	} {
		token := sign(t, "RS256", rsaKey(), accepted, fmt.Sprintf(`{"iss":%s,"exp":%d}`, iss, start.Unix()+60))
		if _, err := v.Verify(t.Context(), token); (err == nil) != trusted || err != nil && !errors.Is(err, ErrUntrusted) {
			t.Errorf("iss %s: Verify = %v, want success: %t", iss, err, trusted)
		}
		expired := sign(t, "RS256", rsaKey(), accepted, fmt.Sprintf(`{"iss":%s,"exp":%d}`, iss, start.Unix()-1))
		if _, err := v.Verify(t.Context(), expired); !errors.Is(err, ErrUntrusted) {
			t.Errorf("iss %s, expired: Verify = %v, want ErrUntrusted", iss, err)
		}
	}
}

// expiring is a payload with an exp of that format.
func expiring(format string, args ...any) string {
	return fmt.Sprintf(`{"iss":%q,"sub":"secret-subject","exp":%s}`, issuer, fmt.Sprintf(format, args...))
}

func TestVerifyKeepsClaims(t *testing.T) {
	payload := claims(" ,\n\"big\": 9007199254740993, \"huge\":1e400,\"f\":1.0,\"e\":\"\\u00e4\\/\",\"n\":null")
	got, err := verify(t, sign(t, "RS256", rsaKey(), accepted, payload))
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Claims.Bytes()) != payload {
		t.Errorf("the claims are %s, want %s", got.Claims.Bytes(), payload)
	}
	if big := string(got.Claims.Get("big")); big != "9007199254740993" {
		t.Errorf("big is %s, want 2^53 + 1", big)
	}
}

func TestVerifySegments(t *testing.T) {
	token := sign(t, "RS256", rsaKey(), accepted+" ", claims("")) // 39 octets: no unused bits
	part := strings.Split(token, ".")
	head, payload, signature := part[0], part[1], part[2]
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	// 256 octets end in a character with 4 unused bits.
	bits := signature[:341] + map[byte]string{'A': "B", 'Q': "R", 'g': "h", 'w': "x"}[signature[341]]
	tests := []struct {
		name, token string
		want        error
	}{
		{"three segments", token, nil},
		{"empty", "", ErrOpaque},
		{"one segment", "2YotnFZFEjr1zCsicMWpAA", ErrOpaque},
		{"two segments", join(head, payload), ErrOpaque},
		{"four segments", join(head, payload, signature, signature), ErrOpaque},
		{"three and a point", token + ".", ErrOpaque},
		{"five segments", join(head, payload, payload, payload, signature), ErrOpaque},
		{"JWE", join(encode(`{"alg":"RSA-OAEP","enc":"A256GCM"}`), "a2V5", "aXY", "dGV4dA", "dGFn"), ErrOpaque},
		{"JSON serialization", `{"payload":"` + payload + `","signature":"` + signature + `"}`, ErrOpaque},
		{"scheme in front", "Bearer " + token, ErrOpaque},
		{"points only", "..", ErrOpaque},
		{"header empty", join("", payload, signature), ErrOpaque},
		{"header padded", join(head+"=", payload, signature), ErrOpaque},
		{"header with a line break", join(head[:4]+"\n"+head[4:], payload, signature), ErrOpaque},
		{"payload empty", join(head, "", signature), ErrUntrusted},
		{"payload padded", join(head, payload+"=", signature), ErrUntrusted},
		{"payload with a line break", join(head, payload[:8]+"\r\n"+payload[8:], signature), ErrUntrusted},
		{"payload with a space", join(head, payload+" ", signature), ErrUntrusted},
		{"payload of another", join(head, encode(claims(`,"x":1`)), signature), ErrUntrusted},
		{"signature empty", join(head, payload, ""), ErrUntrusted},
		{"signature padded", token + "==", ErrUntrusted},
		{"signature with a line break", token + "\n", ErrUntrusted},
		{"signature with a zero byte", token + "\x00", ErrUntrusted},
		{"signature in standard base64", join(head, payload, "+/"+signature[2:]), ErrUntrusted},
		{"signature with unused bits", join(head, payload, bits), ErrUntrusted},
		{"signature cut", join(head, payload, signature[:340]), ErrUntrusted},
		{"signature of zeros", join(head, payload, strings.Repeat("A", 342)), ErrUntrusted},
		{"unsigned", join(encode(`{"alg":"none"}`), payload, ""), ErrUntrusted},
		{"unsigned with a kid", join(encode(`{"alg":"none","kid":"k1"}`), payload, ""), ErrUntrusted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verify(t, tt.token)
			check(t, tt.token, err, tt.want)
		})
	}
}
