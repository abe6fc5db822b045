package enrich

import (
	"context"
	"errors"
	"testing"

	"m2m-token-enricher/plugin/jws"
)

const (
	form     = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

func TestGrant(t *testing.T) {
	tests := []struct {
		name, contentType, body string
		outcome                 Outcome
	}{
		{"form", form, "grant_type=client_credentials", Enriched},
		{"type in another case", "Application/X-WWW-Form-Urlencoded", "grant_type=client_credentials", Enriched},
		{"escaped", form, "gr%61nt_type=client%5Fcredentials", Enriched},
		{"json", jsonType, `{"grant_type":"client_credentials"}`, Enriched},
		{"json with charset", jsonType + ";charset=utf-8", `{"grant_type":"client_credentials","n":1,"x":null}`, Enriched},
		{"json escaped", jsonType, `{"grant\u005ftype":"client_credentials"}`, Enriched},
		{"json with a form's separators", jsonType, `{"client_secret":"a&b;c=d","grant_type":"client_credentials"}`, Enriched},
		{"semicolon in a value", form, "grant_type=client_credentials&client_secret=s3cr;et", Enriched},
		{"names as clients have them", form, "grant_type=client_credentials&x-client-SKU=MSAL.js&metaData.device.name=x&_=1&resource[]=a&a[b][0]=c&claims:x=1", Enriched},
		{"value with a line end", form, "grant_type=client_credentials&scope=a\r\n", Enriched},
		{"value with a nul", form, "grant_type=client_credentials&client_secret=a%00b", Enriched},
		// A reader of JSON finds no grant in it.
		{"form labelled json", jsonType, "grant_type=client_credentials", Enriched},

		{"other", form, "grant_type=authorization_code", NotM2M},
		{"other with client_credentials elsewhere", form, "grant_type=password&username=client_credentials", NotM2M},
		{"extension", jsonType, `{"grant_type":"urn:ietf:params:oauth:grant-type:token-exchange"}`, NotM2M},

		{"none", form, "client_id=x", AmbiguousRequest},
		{"empty", form, "grant_type=", AmbiguousRequest},
		{"no body", form, "", AmbiguousRequest},
		{"no content type", "", "grant_type=client_credentials", AmbiguousRequest},
		{"twice", form, "grant_type=client_credentials&grant_type=client_credentials", AmbiguousRequest},
		{"twice, different", form, "grant_type=password&grant_type=client_credentials", AmbiguousRequest},
		{"twice, one escaped", form, "grant_type=password&grant%5Ftype=client_credentials", AmbiguousRequest},
		{"another case", form, "Grant_Type=client_credentials", AmbiguousRequest},
		{"both cases", form, "grant_type=password&GRANT_TYPE=client_credentials", AmbiguousRequest},
		{"value in another case", form, "grant_type=Client_Credentials", AmbiguousRequest},
		{"value with a space", form, "grant_type=client_credentials+", AmbiguousRequest},
		{"bad escape", form, "grant_type=client_credentials&x=%zz", AmbiguousRequest},
		{"semicolon", form, "grant_type=client_credentials;x=1", AmbiguousRequest},
		{"not utf-8", form, "grant_type=client_credentials&x=%ff", AmbiguousRequest},
		{"json labelled form", form, `{"grant_type":"client_credentials"}`, AmbiguousRequest},
		{"multipart", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=grant_type\r\n\r\nclient_credentials\r\n--x--", AmbiguousRequest},
		{"text", "text/plain", "grant_type=client_credentials", AmbiguousRequest},
		{"bad type", "application/", "grant_type=client_credentials", AmbiguousRequest},
		// What some readers turn into grant_type, or into client_credentials.
		{"dotted name", form, "grant_type=password&grant.type=client_credentials", AmbiguousRequest},
		{"spaced name", form, "grant_type=password&grant+type=client_credentials", AmbiguousRequest},
		{"indented name", form, "grant_type=password&+grant_type=client_credentials", AmbiguousRequest},
		{"bracket in the name", form, "grant_type=password&grant%5Btype=client_credentials", AmbiguousRequest},
		{"list", form, "grant_type=password&grant_type[]=client_credentials", AmbiguousRequest},
		{"indexed list", form, "grant_type=password&grant_type%5B0%5D=client_credentials", AmbiguousRequest},
		{"name with a nul", form, "grant_type=password&grant_type%00x=client_credentials", AmbiguousRequest},
		{"name with a nul, after the grant", form, "grant_type=client_credentials&grant_type%00x=password", AmbiguousRequest},
		{"key of a list", form, "grant_type=client_credentials&grant_type[x]=password", AmbiguousRequest},
		{"cut list", form, "grant_type=client_credentials&grant_type[]x=password", AmbiguousRequest},
		{"opening bracket", form, "grant_type=client_credentials&[grant_type]=password", AmbiguousRequest},
		{"any other odd name", form, "grant_type=client_credentials&a[b=1", AmbiguousRequest},
		{"another client's name", form, "grant_type=client_credentials&Client_ID=other", AmbiguousRequest},
		{"grant after a semicolon", form, "grant_type=client_credentials&x=a;grant_type=password", AmbiguousRequest},
		{"list after a semicolon", form, "grant_type=client_credentials&x=a;+grant_type%00[]=password", AmbiguousRequest},
		{"client after a semicolon", form, "grant_type=client_credentials&x=a;client_id=other", AmbiguousRequest},
		{"escaped ampersand in html", form, "grant_type=client_credentials&amp;grant_type=password", AmbiguousRequest},
		{"byte order mark", form, "\ufeffgrant_type=client_credentials&grant_type=password", AmbiguousRequest},
		{"grant with a nul", form, "grant_type=client_credentials%00", AmbiguousRequest},
		{"two values in one", form, "grant_type=client_credentials,password", AmbiguousRequest},
		{"two values with a space", form, "grant_type=password+client_credentials", AmbiguousRequest},
		{"value with a byte order mark", form, "grant_type=%EF%BB%BFclient_credentials", AmbiguousRequest},
		{"quoted value", form, "grant_type=%22client_credentials%22", AmbiguousRequest},
		{"value with a dash", form, "grant_type=client%2Dcredentials", AmbiguousRequest},
		{"value with a space of no width", form, "grant_type=client_credentials%E2%80%8B", AmbiguousRequest},
		{"json dotted name", jsonType, `{"grant_type":"password","grant.type":"client_credentials"}`, AmbiguousRequest},
		{"json object under a like name", jsonType, `{"grant_type":"password","grant-type":{}}`, AmbiguousRequest},
		{"json quoted value", jsonType, `{"grant_type":"\"client_credentials\""}`, AmbiguousRequest},
		{"json name with a nul", jsonType, `{"grant_type":"password","grant_type\u0000x":"client_credentials"}`, AmbiguousRequest},
		{"form in json", jsonType, `{"grant_type":"client_credentials","x":"&grant_type=password&"}`, AmbiguousRequest},
		{"form in json after a semicolon", jsonType, `{"grant_type":"client_credentials","x":";grant_type[]=password;"}`, AmbiguousRequest},
		{"separator and percent in json", jsonType, `{"grant_type":"client_credentials","client_secret":"a&b%c"}`, Enriched},
		{"separator, name and percent in json", jsonType, `{"grant_type":"client_credentials","client_secret":"a;scope%=%"}`, Enriched},
		{"name after a percent in json", jsonType, `{"grant_type":"client_credentials","client_secret":"a&%zgrant_type=password"}`, AmbiguousRequest},
		{"percent within a name in json", jsonType, `{"grant_type":"client_credentials","client_secret":"a&gr%ant_type=password"}`, AmbiguousRequest},
		{"percent behind a name in json", jsonType, `{"grant_type":"client_credentials","client_secret":"a&client_id%=other"}`, AmbiguousRequest},
		{"form behind a broken escape in json", jsonType, `{"grant_type":"client_credentials","x":"&%67rant_type%00%zz=password&"}`, AmbiguousRequest},
		{"form of an older server in json", jsonType, `{"grant_type":"client_credentials","x":"&%u0067rant_type=password&"}`, AmbiguousRequest},
		{"json client without a value", jsonType, `{"grant_type":"client_credentials","client_id":null,"client_assertion":null}`, Enriched},
		{"json grant without a value", jsonType, `{"grant_type":null,"client_id":"x"}`, AmbiguousRequest},
		{"json client that is a number", jsonType, `{"grant_type":"client_credentials","client_id":12345}`, AmbiguousRequest},
		{"json client in an object", jsonType, `{"grant_type":"client_credentials","client_id":{"value":"other"}}`, AmbiguousRequest},
		{"two content types", jsonType + ", " + form, "grant_type=client_credentials", AmbiguousRequest},

		{"json duplicate", jsonType, `{"grant_type":"password","grant_type":"client_credentials"}`, AmbiguousRequest},
		{"json duplicate elsewhere", jsonType, `{"grant_type":"client_credentials","a":1,"a":2}`, AmbiguousRequest},
		{"json another case", jsonType, `{"Grant_Type":"client_credentials"}`, AmbiguousRequest},
		{"json list of two", jsonType, `{"grant_type":["password","client_credentials"]}`, AmbiguousRequest},
		{"json list of one", jsonType, `{"grant_type":["client_credentials"]}`, AmbiguousRequest},
		{"json number", jsonType, `{"grant_type":1}`, AmbiguousRequest},
		{"json null", jsonType, `{"grant_type":null}`, AmbiguousRequest},
		{"json array", jsonType, `[]`, AmbiguousRequest},
		{"json broken", jsonType, `{"grant_type":"client_credentials"`, AmbiguousRequest},
		{"json with bom", jsonType, "\ufeff" + `{"grant_type":"client_credentials"}`, AmbiguousRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.exchange.Request.ContentType, f.exchange.Request.Body = tt.contentType, []byte(tt.body)
			f.want(tt.outcome)
		})
	}
}

func TestQuery(t *testing.T) {
	wantOutcomes(t, map[string]Outcome{
		"":                              Enriched,
		"x=1":                           Enriched,
		"grant_type=client_credentials": AmbiguousRequest,
		"grant%5ftype=password":         AmbiguousRequest,
		"GRANT_TYPE=password":           AmbiguousRequest,
		"x=%zz":                         AmbiguousRequest,
		"p=a;b":                         Enriched,
		"p=a;grant_type=password":       AmbiguousRequest,
		"a;grant_type=password":         AmbiguousRequest,
		"grant_type%00x=password":       AmbiguousRequest,
		"grant.type=password":           AmbiguousRequest,
		"grant_type[]=password":         AmbiguousRequest,
		"x=%ff":                         AmbiguousRequest,
		"x=\xff":                        AmbiguousRequest,
	}, func(f *fixture, query string) { f.exchange.Request.Query = query })
}

// TestClientInQuery: some readers merge the query with the body.
func TestClientInQuery(t *testing.T) {
	wantOutcomes(t, map[string]Outcome{
		"client_id=" + testClient: Enriched, "client_id=other&client_secret=s": ClientMismatch, "client_id=": Enriched,
	}, func(f *fixture, query string) {
		f.exchange.Request.Body, f.exchange.Request.Query = []byte("grant_type=client_credentials"), query
	})
}

// TestCookie: some readers merge cookies with the body.
func TestCookie(t *testing.T) {
	wantOutcomes(t, map[string]Outcome{
		"":                             Enriched,
		"session=a; lb=grant_type":     Enriched,
		"grant_type=password":          AmbiguousRequest,
		"a=b; %67rant.type[]=password": AmbiguousRequest,
		"a=b;client_id=other":          AmbiguousRequest,
	}, func(f *fixture, cookie string) {
		f.exchange.Request.Cookie = cookie
		err := CheckRequest("", Headers{ContentType: form, Cookie: "x=y; " + cookie})
		if r := f.run(context.Background()); (err == nil) != (r.Outcome == Enriched) {
			t.Errorf("CheckRequest with the cookie %q = %v, but the outcome is %s", cookie, err, r.Outcome)
		}
	})
}

// TestSeveralAuthorizations: readers take different lines of a header, which nginx
// joins. A comma between the parameters of one scheme is no second header.
func TestSeveralAuthorizations(t *testing.T) {
	const basic = "Basic dGVzdC1jbGllbnQ6cw=="
	wantOutcomes(t, map[string]Outcome{
		"":            Enriched,
		"Bearer abc":  Enriched,
		"Bearer a.b_": Enriched,
		"AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=0f": Enriched,
		`Signature keyId="a b",algorithm="rsa-sha256",headers="(request-target) host"`:                                              Enriched,
		`Digest username="a", realm="b", nc=00000001`:                                                                               Enriched,
		"Bearer a, Basic b3RoZXI6cw==":                AmbiguousRequest,
		basic + ", Basic b3RoZXI6cw==":                AmbiguousRequest,
		basic + ", " + basic:                          AmbiguousRequest,
		basic + ", ":                                  AmbiguousRequest,
		", " + basic:                                  AmbiguousRequest,
		", ":                                          AmbiguousRequest,
		basic + ",Bearer a":                           AmbiguousRequest,
		basic + ", b3RoZXI6cw":                        AmbiguousRequest,
		basic + ", Negotiate":                         AmbiguousRequest,
		"Negotiate, " + basic:                         AmbiguousRequest,
		`Digest username="a, Basic b3RoZXI6cw"`:       AmbiguousRequest,
		`Digest username="a", Basic b3RoZXI6cw==`:     AmbiguousRequest,
		`Digest username="a", Basic =b3RoZXI6cw==`:    AmbiguousRequest,
		`Digest username="a", Basic  b3RoZXI6c=, x=y`: AmbiguousRequest,
		"Digest username=a, \tBasic b3RoZXI6cw==":     AmbiguousRequest,
		"Digest username=a,\u00a0Basic b3RoZXI6cw==":  AmbiguousRequest,
	}, func(f *fixture, authorization string) {
		f.exchange.Request.Body = []byte("grant_type=client_credentials")
		f.exchange.Request.Authorization = authorization
		err := CheckRequest("", Headers{ContentType: form, Authorization: authorization})
		if r := f.run(context.Background()); (err == nil) != (r.Outcome == Enriched) {
			t.Errorf("CheckRequest with Authorization %q = %v, but the outcome is %s", authorization, err, r.Outcome)
		}
	})
}

// TestEncodedRequest: a reader that inflates the body may see another one.
func TestEncodedRequest(t *testing.T) {
	wantOutcomes(t, map[string]Outcome{
		"": Enriched, "identity": Enriched, " Identity ": Enriched, "gzip": AmbiguousRequest, "deflate": AmbiguousRequest, "identity, gzip": AmbiguousRequest,
	}, func(f *fixture, encoding string) { f.exchange.Request.ContentEncoding = encoding })
}

// TestUndecodableClientComesLate: the provider's answer is checked before the
// client that it is for.
func TestUndecodableClientComesLate(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil   func(*fixture)
		outcome Outcome
	}{
		"nothing else":   {func(*fixture) {}, ClientMismatch},
		"refresh token":  {func(f *fixture) { f.set("", "other_tokens", "refuse"); f.response["refresh_token"] = "r" }, BadTokenResponse},
		"opaque token":   {func(f *fixture) { f.token = "opaque" }, OpaqueToken},
		"keys down":      {func(f *fixture) { f.keys.err = jws.ErrKeysUnavailable }, KeysUnavailable},
		"another issuer": {func(f *fixture) { f.claims["iss"] = "https://other" }, UntrustedToken},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.exchange.Request.Authorization, f.exchange.Request.Body = "Basic !!!", []byte("grant_type=client_credentials")
			tt.spoil(f)
			f.want(tt.outcome)
		})
	}
}

func TestUnreadableBody(t *testing.T) {
	f := newFixture(t)
	f.exchange.Request.BodyError = errors.New("the body is too large")
	f.want(AmbiguousRequest)
}
