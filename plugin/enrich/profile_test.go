package enrich

import (
	"fmt"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/jws"
)

// tokenHeader is the header of a token as it is written.
func tokenHeader(t *testing.T, token string) string {
	t.Helper()
	header, _, err := jws.Unverified(token)
	must(t, err)
	return string(header)
}

// profiled is a fixture whose tokens follow RFC 9068.
func profiled(t *testing.T) *fixture {
	f := newFixture(t)
	f.set("signing", "issuer", testIssuer)
	f.set("signing", "profile", "rfc9068")
	f.config["client_id_claim"] = []any{"azp"}
	return f
}

// TestProfile: the profile adds client_id and sub if the token has none, and
// overwrites nothing.
func TestProfile(t *testing.T) {
	const added = `,"org_code":"org_8ed648340ea9","org_name":"Acme Inc"`
	id, sub := fmt.Sprintf(`,"client_id":%q`, testClient), fmt.Sprintf(`,"sub":%q`, testClient)
	escaped := fmt.Sprintf(`,"client_id":"\u00%x%s"`, testClient[0], testClient[1:])
	for name, tt := range map[string]struct{ before, after string }{
		"neither":              {"", added + id + sub},
		"nulls":                {`,"sub":null,"client_id":null`, sub + id + added},
		"a client_id":          {id, id + added + sub},
		"an escaped one":       {escaped, escaped + added + sub},
		"another sub":          {`,"sub":"service-account-1"`, `,"sub":"service-account-1"` + added + id},
		"an empty sub":         {`,"sub":""`, `,"sub":""` + added + id},
		"a sub that is a list": {`,"sub":["a"]`, `,"sub":["a"]` + added + id},
	} {
		t.Run(name, func(t *testing.T) {
			f := profiled(t)
			f.answer(goodHeader, goodPayload(tt.before))
			if got, want := f.enriched(), goodPayload(tt.after); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestProfileConflicts: a client_id of another client, or a claim that may be taken
// for one of the profile's, stops the token.
func TestProfileConflicts(t *testing.T) {
	for _, before := range []string{
		`,"client_id":"another"`, `,"client_id":""`, `,"client_id":["a"]`, `,"client_id":{}`, `,"Client_ID":"a"`, `,"SUB":"a"`, `,"sub":"a","Sub":"b"`,
	} {
		f := profiled(t)
		f.answer(goodHeader, goodPayload(before))
		f.want(ClaimConflict)
	}
}

// TestProfileType: the profile's tokens have its typ, others keep the provider's.
func TestProfileType(t *testing.T) {
	for _, header := range []string{goodHeader, `{"alg":"RS256","kid":"idp"}`, `{"alg":"RS256","kid":"idp","typ":"application/at+jwt"}`} {
		f := profiled(t)
		f.answer(header, goodPayload(""))
		if got := tokenHeader(t, accessToken(t, f.want(Enriched))); !strings.Contains(got, `"typ":"at+jwt"`) {
			t.Errorf("%s: got the header %s, want typ at+jwt", header, got)
		}
		f.set("signing", "profile", nil)
		if got := tokenHeader(t, accessToken(t, f.want(Enriched))); strings.Contains(got, `"typ":"at+jwt"`) {
			t.Errorf("%s without the profile: got the header %s, want the provider's typ", header, got)
		}
	}
}
