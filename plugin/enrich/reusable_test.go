package enrich

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
)

// asks sets the body of the request.
func asks(body string) func(*fixture) {
	return func(f *fixture) { f.exchange.Request.Body = []byte(body) }
}

// asksWith sets the body of the request and its Basic credentials.
func asksWith(credentials, body string) func(*fixture) {
	return func(f *fixture) {
		f.exchange.Request.Authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
		asks(body)(f)
	}
}

// asksJSON sets the body of the request to JSON.
func asksJSON(body string) func(*fixture) {
	return func(f *fixture) {
		f.exchange.Request.ContentType = "application/json"
		asks(body)(f)
	}
}

func answers(name string, value any) func(*fixture) {
	return func(f *fixture) { f.response[name] = value }
}

func claims(name string, value any) func(*fixture) {
	return func(f *fixture) { f.claims[name] = value }
}

func all(changes ...func(*fixture)) func(*fixture) {
	return func(f *fixture) {
		for _, change := range changes {
			change(f)
		}
	}
}

const (
	grantOnly     = "grant_type=client_credentials"
	named         = grantOnly + "&client_id=" + testClient
	withSecret    = named + "&client_secret=s3cret"
	samlAssertion = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer" // whose content the plugin doesn't read
)

// reusableTests are answers to enriched exchanges, each with why it may not be given
// again, "" if it may.
var reusableTests = []struct {
	name  string
	spoil func(*fixture)
	why   string
}{
	{"as usual", func(*fixture) {}, ""},
	{"201", func(f *fixture) { f.exchange.Response.Status = 201 }, "status 201"},

	{"secret by Basic", asksWith(testClient+":s3cret", grantOnly), ""},
	{"secret by basic", func(f *fixture) {
		asksWith(testClient+":s3cret", grantOnly)(f)
		f.exchange.Request.Authorization = "basic" + f.exchange.Request.Authorization[len("Basic"):]
	}, ""},
	{"secret by Basic with a colon", asksWith(testClient+"::", grantOnly), ""},
	{"secret in both places", asksWith(testClient+":other", withSecret), ""},
	{"secret in the body, Basic without", asksWith(testClient+":", withSecret), ""},
	{"secret by Basic, blank in the body", asksWith(testClient+":s3cret", named+"&client_secret="), ""},
	{"secret in JSON", asksJSON(`{"grant_type":"client_credentials","client_id":"` + testClient + `","client_secret":"s"}`), ""},
	{"secret without an id", asks(grantOnly + "&client_secret=s3cret"), ""},
	{"percent-encoded name", asks(named + "&client%5fsecret=s3cret"), ""},
	{"secret twice", asks(named + "&client_secret=&client_secret=s3cret"), ""},
	{"no secret", asks(named), "no client secret of its own"},
	{"empty secret", asks(named + "&client_secret="), "no client secret of its own"},
	{"secret without a value", asks(named + "&client_secret"), "no client secret of its own"},
	{"blank secret", asks(named + "&client_secret=%20+%09"), "no client secret of its own"},
	{"null secret in JSON", asksJSON(`{"grant_type":"client_credentials","client_id":"` + testClient + `","client_secret":null}`), "no client secret of its own"},
	{"empty secret in JSON", asksJSON(`{"grant_type":"client_credentials","client_id":"` + testClient + `","client_secret":""}`), "no client secret of its own"},
	{"Basic with an empty password", asksWith(testClient+":", grantOnly), "no client secret of its own"},
	{"Basic with a blank password", asksWith(testClient+": ", grantOnly), "no client secret of its own"},
	{"Basic without a colon", asksWith(testClient, grantOnly), "no client secret of its own"},
	{"bearer token", func(f *fixture) {
		asks(named)(f)
		f.exchange.Request.Authorization = "Bearer s3cret"
	}, "no client secret of its own"},
	{"secret in the query alone", func(f *fixture) {
		asks(grantOnly)(f)
		f.exchange.Request.Query = "client_id=" + testClient + "&client_secret=s3cret"
	}, "no client secret of its own"},
	{"secret under another name", asks(named + "&secret=s3cret&api_key=s3cret"), "no client secret of its own"},

	{"assertion", asks(withSecret + "&client_assertion_type=" + samlAssertion + "&client_assertion=a"), "client assertion"},
	{"assertion without a type", asks(withSecret + "&client_assertion=a"), "client assertion"},
	{"type of an assertion", asks(withSecret + "&client_assertion_type=x"), "client assertion"},
	{"assertion without a value", asks(withSecret + "&client_assertion"), "client assertion"},
	{"percent-encoded assertion", asks(withSecret + "&%63lient_assertion=a"), "client assertion"},
	{"assertion in JSON", asksJSON(`{"grant_type":"client_credentials","client_id":"` + testClient + `","client_secret":"s","client_assertion":"a"}`), "client assertion"},
	{"null assertion in JSON", asksJSON(`{"grant_type":"client_credentials","client_id":"` + testClient + `","client_secret":"s","client_assertion":null}`), "client assertion"},
	{"assertion beside Basic", asksWith(testClient+":s3cret", grantOnly+"&client_assertion=a"), "client assertion"},
	{"assertion in the query", func(f *fixture) { f.exchange.Request.Query = "client_assertion=a" }, "client assertion"},

	{"cnf", claims("cnf", map[string]any{"jkt": "x"}), "by the claim cnf"},
	{"empty cnf", claims("cnf", map[string]any{}), "by the claim cnf"},
	{"cnf in capitals", claims("CNF", map[string]any{"jkt": "x"}), "by the claim cnf"},
	{"null cnf", claims("cnf", nil), ""},
	{"BEARER", answers("token_type", "BEARER"), ""},
	{"DPoP", answers("token_type", "DPoP"), "token_type isn't Bearer"},
	{"N_A", answers("token_type", "N_A"), "token_type isn't Bearer"},
	{"bearer with a space", answers("token_type", "bearer "), "token_type isn't Bearer"},
	{"null token_type", answers("token_type", nil), "token_type isn't Bearer"},
	{"token_type as a number", answers("token_type", 1), "token_type isn't Bearer"},
	{"no token_type", func(f *fixture) { delete(f.response, "token_type") }, "token_type isn't Bearer"},
	{"two token_types", answers("Token_Type", "DPoP"), "token_type isn't Bearer"},

	{"other tokens are dropped", all(answers("refresh_token", "r"), answers("id_token", "i")), ""},
	{"refresh token is kept", all(setOtherTokens, answers("refresh_token", "r")), "another token beside"},
	{"ID token is kept", all(setOtherTokens, answers("id_token", "i")), "another token beside"},
	{"one is kept, one is dropped", all(setOtherTokens, answers("id_token", "i"), answers("accessToken", "a")), "another token beside"},
	{"none to keep", setOtherTokens, ""},
	{"a null to keep", all(setOtherTokens, answers("refresh_token", nil)), ""},

	{"no expires_in", func(f *fixture) { delete(f.response, "expires_in") }, ""},
	{"null expires_in", answers("expires_in", nil), ""},
	{"quoted expires_in", answers("expires_in", "3600"), ""},
	{"expires_in 0", answers("expires_in", 0), "expires_in isn't a positive number"},
	{"negative expires_in", answers("expires_in", -1), "expires_in isn't a positive number"},
	{"expires_in as a word", answers("expires_in", "soon"), "expires_in isn't a positive number"},
	{"expires_in as a list", answers("expires_in", []int{3600}), "expires_in isn't a positive number"},
	{"infinite expires_in", answers("expires_in", "Infinity"), "expires_in isn't a positive number"},
	{"expires_in with a digit of its own", answers("expires_in", "0x1000"), "expires_in isn't a positive number"},
	{"short expires_in", answers("expires_in", 60), "life isn't longer than reuse.min_remaining"},
	{"short expiresIn", answers("expiresIn", 60), "life isn't longer than reuse.min_remaining"},
	{"expires_in just long enough", answers("expires_in", 61), ""},
	{"another countdown may be short", answers("ext_expires_in", 1), ""},
	{"short exp", claims("exp", testNow.Unix()+60), "life isn't longer than reuse.min_remaining"},
	{"exp just long enough", claims("exp", testNow.Unix()+61), ""},
	{"max_ttl just long enough", func(f *fixture) { f.set("signing", "max_ttl", 61) }, ""},
	{"large answer", answers("note", strings.Repeat("a", 64<<10)), "more than 65536 bytes"},

	{"observed", func(f *fixture) { f.set("", "mode", "observe") }, "the client is observed"},
	{"outside the share", func(f *fixture) { f.set("", "enforce_share", 0) }, "the client is observed"},
	{"reuse is off", func(f *fixture) { f.set("reuse", "enabled", false) }, "reuse isn't enabled"},
}

func setOtherTokens(f *fixture) { f.set("", "other_tokens", "keep") }

func TestHeld(t *testing.T) {
	for _, tt := range reusableTests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.set("reuse", "enabled", true)
			tt.spoil(f)
			h, err := f.want(Enriched).Held()
			if (h != nil) != (tt.why == "") || (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Fatalf("held: %t, because %v, want the reason %q", h != nil, err, tt.why)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), f.token)) {
				t.Errorf("the reason has a secret: %v", err)
			}
		})
	}
}

// TestHeldOutcomes: no answer of another outcome may be given again.
func TestHeldOutcomes(t *testing.T) {
	eachOutcome(t, func(t *testing.T, f *fixture, tt outcomeTest) {
		f.set("reuse", "enabled", true)
		if tt.outcome == Enriched {
			return
		}
		if h, err := f.want(tt.outcome).Held(); h != nil || err == nil || !strings.Contains(err.Error(), string(tt.outcome)) {
			t.Errorf("held: %t, because %v, want the outcome as the reason", h != nil, err)
		}
	})
}

// TestHeldOfPart: a part of the exchange is enough to decide, as Kong gives it.
func TestHeldOfPart(t *testing.T) {
	f := newFixture(t)
	f.set("reuse", "enabled", true)
	x := partial(f.complete())
	if x.NeedsDetails() {
		t.Fatal("the exchange needs its details")
	}
	if _, err := f.enricher().Enrich(context.Background(), x).Held(); err != nil {
		t.Errorf("got %v, want the answer", err)
	}
}

func TestQueryAsserts(t *testing.T) {
	for query, want := range map[string]bool{
		"": false, "a=b&client_id=c&assertion=d": false, "client_assertions=a": false,
		"client_assertion=a": true, "a=b&client_assertion_type=": true, "%63lient_assertion": true,
		"a=%": true, "client-assertion=a": true, "a=b;client_assertion=a": true,
	} {
		if got := QueryAsserts(query); got != want {
			t.Errorf("QueryAsserts(%q) = %t, want %t", query, got, want)
		}
	}
}
