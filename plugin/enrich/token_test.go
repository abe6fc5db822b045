package enrich

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// signPayload signs a payload as it is written.
func signPayload(t testing.TB, header, payload string) string {
	t.Helper()
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	signature, err := jwt.SigningMethodRS256.Sign(signed, providerKey())
	must(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// answer makes the provider answer with a token of header and claims as they are
// written.
func (f *fixture) answer(header, claims string) {
	f.t.Helper()
	f.token = signPayload(f.t, header, claims)
	f.body = fmt.Appendf(nil, `{"access_token":%q}`, f.token)
}

func accessToken(t testing.TB, r Result) string {
	t.Helper()
	return between(t, r.Body, `"access_token":"`, `"`)
}

// enriched returns the claims of the enriched token as they are written.
func (f *fixture) enriched() string {
	f.t.Helper()
	return payload(f.t, f.ring, accessToken(f.t, f.want(Enriched)))
}

const goodHeader = `{"alg":"RS256","kid":"idp","typ":"JWT"}`

func goodPayload(more string) string {
	return fmt.Sprintf(`{"azp":%q,"iss":%q,"exp":%d%s}`, testClient, testIssuer, testNow.Unix()+600, more)
}

// TestTokenKeepsItsBytes: the provider's claims stay as they were written and
// in their order, and the new ones follow.
func TestTokenKeepsItsBytes(t *testing.T) {
	const many = `,  "big":9007199254740993, "exact":1.10e1,"text":"\u00e9\/é" ,"cnf":{"x5t#S256":"a"},"Jti":"A","jti":"b","scp":["a" , "b"],"n":null `
	const equal = `,"org_name":"Acme\u0020Inc","org_code":"org_8ed648340ea9","tags":[ "a" ]`
	for name, tt := range map[string]struct{ before, after string }{
		"other claims": {many, many + `,"org_code":"org_8ed648340ea9","org_name":"Acme Inc","tags":["a"]`},
		"equal claims": {equal, equal},
		"a null claim": {`,"org_code":null,"x":1`, `,"org_code":"org_8ed648340ea9","x":1,"org_name":"Acme Inc","tags":["a"]`}, // the provider knows none
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.config["claims"] = append(f.config["claims"].([]any), map[string]any{"name": "tags", "value": "a", "type": "strings"})
			f.answer(goodHeader, goodPayload(tt.before))
			if got, want := f.enriched(), goodPayload(tt.after); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	for before, want := range map[string]string{
		goodHeader: `{"alg":"ES256","typ":"JWT","kid":"KID"}`,
		`{"alg":"RS256","kid":"idp","typ":"at+jwt","x5t":"a","jku":"https://evil.example","x":1}`: `{"alg":"ES256","typ":"at+jwt","kid":"KID"}`,
		`{"typ": "application\/AT+JWT" ,"alg":"RS256"}`:                                           `{"alg":"ES256","typ":"application\/AT+JWT","kid":"KID"}`,
		`{"alg":"RS256","kid":"idp"}`:                                                             `{"alg":"ES256","kid":"KID"}`,
	} {
		f := newFixture(t)
		f.answer(before, goodPayload(""))
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(accessToken(t, f.want(Enriched)), ".")[0])
		must(t, err)
		if got := strings.Replace(string(header), f.ring.Keys()[0].ID, "KID", 1); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestGatewayClaims: the gateway's own claims are rewritten in place.
func TestGatewayClaims(t *testing.T) {
	f := newFixture(t)
	f.set("signing", "issuer", "https://gateway.example.com")
	f.set("signing", "max_ttl", 60)
	f.answer(goodHeader, goodPayload(""))
	r := f.want(Enriched)
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(accessToken(t, r), ".")[1])
	must(t, err)
	want := fmt.Sprintf(`{"azp":%q,"iss":"https://gateway.example.com","exp":%d,`, testClient, testNow.Unix()+60)
	if !strings.HasPrefix(string(text), want) || r.ClientID != testClient {
		t.Errorf("got %s for the client %s, want %s… for %s", text, r.ClientID, want, testClient)
	}
}

func TestClaimTypes(t *testing.T) {
	tests := []struct{ typ, text, want string }{
		{"string", `a"b é`, `"a\"b é"`},
		{"string", "a\xff", ""},
		{"number", "9007199254740993", "9007199254740993"},
		{"number", "1.10", "1.10"},
		{"number", "-1e3", "-1e3"},
		{"number", "1,2", ""},
		{"number", "0x10", ""},
		{"number", "NaN", ""},
		{"number", `"1"`, ""},
		{"number", "01", ""},
		{"boolean", "true", "true"},
		{"boolean", "false", "false"},
		{"boolean", "TRUE", "true"},
		{"boolean", "False", "false"},
		{"boolean", "true ", ""},
		{"boolean", "1", ""},
		{"strings", "a, b,c", `["a","b","c"]`},
		{"strings", "a", `["a"]`},
		{"strings", "a,,b", ""},
		{"strings", "a,\xff", ""},
		{"json", ` {"a": [1, 2.0]} `, `{"a":[1,2.0]}`},
		{"json", `"x"`, `"x"`},
		{"json", `{"a":1,"a":2}`, ""},
		{"json", `"\ud800"`, ""},
		{"json", `{}{}`, ""},
		{"json", `"` + strings.Repeat("a", 4096) + `"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.typ+" "+tt.text[:min(20, len(tt.text))], func(t *testing.T) {
			f := newFixture(t)
			f.records["app:"+testClient] = schema.Record{"org_code": testOrg, "p": tt.text}
			addClaim(f, "c", "application.p", "type", tt.typ)
			if tt.want == "" {
				f.want(MissingProperty)
			} else if got := f.enriched(); !strings.HasSuffix(got, `,"c":`+tt.want+`}`) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestDefaultsAndValues(t *testing.T) {
	f := newFixture(t)
	f.config["claims"] = []any{
		map[string]any{"name": "plan", "from": "organization.tier", "default": "free"},
		map[string]any{"name": "empty", "from": "organization.tier", "default": ""},
		map[string]any{"name": "tags", "from": "organization.tags", "type": "strings", "default": ""},
		map[string]any{"name": "issued_via", "value": "gateway"},
		map[string]any{"name": "v", "value": "2", "type": "number"},
		map[string]any{"name": "region", "from": "application.region"},
		map[string]any{"name": "email", "from": "user.email"},
	}
	const want = `,"plan":"free","empty":"","tags":[],"issued_via":"gateway","v":2,"region":"eu","email":"ops@acme.example"}`
	if got := f.enriched(); !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want …%s", got, want)
	}
}

func TestOptionalOrganization(t *testing.T) {
	f := newFixture(t)
	f.config["claims"] = []any{map[string]any{"name": "plan", "from": "organization.plan", "default": "free"}}
	f.records["app:"+testClient] = schema.Record{"region": "eu"}
	if got, want := f.enriched(), `,"plan":"free"}`; !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want …%s", got, want)
	}
}

func TestWrongDefaults(t *testing.T) {
	cfg := &schema.Config{Claims: []schema.Claim{
		{Name: "a", From: "user.a", Type: "number", Default: new(string)},
		{Name: "b", Value: "maybe", Type: "boolean"},
		{Name: "c", Value: "{", Type: "json"},
	}}
	err := Complete(cfg)
	for _, want := range []string{"config.claims[0].default: not of type number", "config.claims[1].value: not of type boolean", "config.claims[2].value: not of type json"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestManagementAudience(t *testing.T) {
	for audience, management := range map[string]bool{
		"https://example.kinde.com/api":          true,
		"https://example.kinde.com/api/":         true,
		"HTTPS://Example.Kinde.COM/api":          true,
		"https://example.kinde.com/api//":        false,
		"https://example.kinde.com/API":          false,
		"https://example.kinde.com/api?x":        false,
		"https://example.kinde.com/api/v1":       false,
		"https://example.kinde.com":              false,
		"https://example.kinde.com.evil.com/api": false,
		"https://example.kinde.com:443/api":      false,
		"https://evil@example.kinde.com/api":     false,
		"http://example.kinde.com/api":           false,
		"https://xexample.kinde.com/api":         false,
		" https://example.kinde.com/api":         false,
		"example.kinde.com/api":                  false,
		"https://example.\u212Ainde.com/api":     false, // the Kelvin sign
	} {
		t.Run(audience, func(t *testing.T) {
			f := newFixture(t)
			f.claims["aud"] = audience
			want := map[bool]Outcome{true: ManagementAudience, false: Enriched}[management]
			if r := f.want(want); management && (r.Action != Pass || !r.Token) {
				t.Errorf("action %s, token %t, want pass and true: it must pass unchanged and not be cached", r.Action, r.Token)
			}
		})
	}
}

// TestRequestedManagementAudience: the verified audiences decide, not those that the
// client asked for.
func TestRequestedManagementAudience(t *testing.T) {
	f := newFixture(t)
	f.exchange.Request.Body = []byte("grant_type=client_credentials&audience=https%3A%2F%2Fexample.kinde.com%2Fapi")
	f.want(Enriched)
}

// TestIssued: the audit log describes the token that was issued.
func TestIssued(t *testing.T) {
	f := newFixture(t)
	f.set("signing", "issuer", "https://gateway.example.com")
	f.set("signing", "max_ttl", 60)
	f.answer(goodHeader, goodPayload(`,"jti":"t-1","org_code":"org_8ed648340ea9","org_name":null`))
	got := f.want(Enriched).Issued()
	if got.TokenID != "t-1" || got.Organization != testOrg || got.KeyID != f.ring.KeyID() || !slices.Equal(got.Claims, []string{"org_name"}) {
		t.Errorf("Issued() = %+v, want t-1, %s, org_name and the signing key", got, testOrg)
	}
	f.set("organization", "from", []any{"application.team"})
	f.config["claims"] = []any{map[string]any{"name": "via", "value": "gateway"}}
	f.answer(goodHeader, goodPayload(`,"via":"gateway"`))
	if got := f.want(Enriched).Issued(); got.TokenID != "" || got.Organization != "" || got.Claims == nil || len(got.Claims) != 0 {
		t.Errorf("Issued() = %+v, want an empty list of claims alone", got)
	}
}

// TestUnverifiedManagement: a token that can't be verified passes only if the operator
// allows it, it is for the management API alone, and for the client that asked.
func TestUnverifiedManagement(t *testing.T) {
	const other = "https://api.example.com"
	for _, tt := range []struct {
		name  string
		spoil func(*fixture)
		want  Outcome
	}{
		{"signature", func(*fixture) {}, UnverifiedManagement},
		{"as an array", func(f *fixture) { f.claims["aud"] = []string{testManagement, testManagement + "/"} }, UnverifiedManagement},
		{"issuer", func(f *fixture) { f.claims["iss"] = "https://other.example" }, UnverifiedManagement},
		{"algorithm", func(f *fixture) { f.set("", "algorithms", []any{"ES256"}) }, UnverifiedManagement},
		{"names no client", func(f *fixture) { delete(f.claims, "azp") }, UnverifiedManagement},
		{"not allowed", func(f *fixture) { f.set("", "unverified_management", "refuse") }, UntrustedToken},
		{"mixed audiences", func(f *fixture) { f.claims["aud"] = []string{testManagement, other} }, UntrustedToken},
		{"another audience", func(f *fixture) { f.claims["aud"] = other }, UntrustedToken},
		{"an audience that is longer", func(f *fixture) { f.claims["aud"] = testManagement + "/v2" }, UntrustedToken},
		{"no audience", func(f *fixture) { delete(f.claims, "aud") }, UntrustedToken},
		{"an empty list", func(f *fixture) { f.claims["aud"] = []string{} }, UntrustedToken},
		{"a null audience", func(f *fixture) { f.claims["aud"] = nil }, UntrustedToken},
		{"an audience that is no text", func(f *fixture) { f.claims["aud"] = []any{testManagement, 1} }, UntrustedToken},
		{"an audience in another case", func(f *fixture) { f.claims["Aud"] = other }, UntrustedToken},
		{"no management audiences", func(f *fixture) { f.set("", "management_audiences", []any{}) }, UntrustedToken},
		{"another client", func(f *fixture) { f.claims["azp"] = "other" }, ClientMismatch},
		{"two clients", func(f *fixture) { f.claims["appid"] = "other" }, UntrustedToken},
		{"a client that is no text", func(f *fixture) { f.claims["azp"] = []string{"other"} }, UntrustedToken},
		{"a configured claim that is missing", func(f *fixture) { f.set("", "client_id_claim", []any{"app"}) }, UnverifiedManagement},
		{"an outage", func(f *fixture) { f.keys.err = jws.ErrKeysUnavailable }, KeysUnavailable},
		{"encrypted", func(f *fixture) { f.header["enc"] = "A128GCM" }, OpaqueToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.set("", "unverified_management", "pass")
			f.claims["aud"] = testManagement
			tt.spoil(f)
			good := f.sign()
			f.token = good[:strings.LastIndex(good, ".")+1] + "AAAA" // as a changed header does
			r := f.want(tt.want)
			if passes := tt.want == UnverifiedManagement; (r.Action == Pass) != passes || !r.Token || r.Failed() == passes || r.ClientID != "" {
				t.Errorf("action %s, token %t, failed %t, client %q, want pass: %t, and no verified client", r.Action, r.Token, r.Failed(), r.ClientID, passes)
			}
		})
	}
}

// TestVerifiedManagement: the outcome of a verified token is as ever.
func TestVerifiedManagement(t *testing.T) {
	f := newFixture(t)
	f.set("", "unverified_management", "pass")
	f.claims["aud"] = testManagement
	f.want(ManagementAudience)
}

// TestUnverifiedDuplicates: readers may disagree on such a token's audience.
func TestUnverifiedDuplicates(t *testing.T) {
	f := newFixture(t)
	f.set("", "unverified_management", "pass")
	f.answer(goodHeader, goodPayload(`,"aud":"https://api.example.com","aud":"`+testManagement+`"`))
	f.want(UntrustedToken)
}
