package enrich

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

// testGUID is a client id as Microsoft Entra makes them.
const testGUID = "aaaabbbb-cccc-dddd-eeee-ffff00001111"

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func basic(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }

// assertion returns a client assertion with claims.
func assertion(claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256"}`)) + "." + part([]byte(claims)) + "." + part([]byte("signature"))
}

// clientTest is a request whose client is or isn't that of the token.
type clientTest struct {
	name, authorization, body string
	outcome                   Outcome
}

func TestClient(t *testing.T) {
	const grant = "grant_type=client_credentials"
	asserted := grant + "&client_assertion_type=" + url.QueryEscape(jwtBearer) + "&client_assertion="
	own := func(id string) string { return assertion(`{"iss":"` + id + `","sub":"` + id + `"}`) }
	for _, tt := range []clientTest{
		{"none", "", grant, Enriched},
		{"basic", basic(testClient + ":secret:with:colons"), grant, Enriched},
		{"basic in another case", strings.ToUpper("basic ") + basic(testClient + ":s")[6:], grant, Enriched},
		{"basic without padding", strings.TrimRight(basic(testClient+":s"), "="), grant, Enriched},
		{"basic and body", basic(testClient + ":s"), grant + "&client_id=" + testClient, Enriched},
		{"another scheme", "Bearer x", grant, Enriched},

		// What has no value names nobody.
		{"body without a value", basic(testClient + ":s"), grant + "&client_id=&client_secret=", Enriched},
		{"body without an equals sign", basic(testClient + ":s"), grant + "&client_id&client_secret", Enriched},
		{"body once with a value", "", grant + "&client_id=&client_id=" + testClient, Enriched},
		{"basic without a user", basic(":s"), grant + "&client_id=" + testClient, Enriched},
		{"basic empty", "Basic ", grant + "&client_id=" + testClient, Enriched},
		{"basic of a colon", basic(":"), grant + "&client_id=" + testClient, Enriched},
		{"assertion without a value", "", asserted + "&client_id=" + testClient, Enriched},
		{"kind of assertion without a value", "", grant + "&client_assertion_type=&client_assertion=" + own("other"), Enriched},
		{"body without a value beside another basic", basic("other:s"), grant + "&client_id=", ClientMismatch},
		{"basic without a user beside another body", basic(":s"), grant + "&client_id=other", ClientMismatch},

		// An assertion's sub is the client if iss is, too.
		{"assertion", "", asserted + own(testClient), Enriched},
		{"assertion of a workload", "", asserted + assertion(`{"iss":"https://oidc.example.com/cluster","sub":"system:serviceaccount:default:app"}`) + "&client_id=" + testClient, Enriched},
		{"assertion of a workload and another client", "", asserted + assertion(`{"iss":"https://oidc.example.com","sub":"system:serviceaccount:default:app"}`) + "&client_id=other", ClientMismatch},
		{"assertion without an issuer", "", asserted + assertion(`{"sub":"other"}`), Enriched},
		{"assertion without subject", "", asserted + assertion(`{}`), Enriched},
		{"assertion of an empty subject", "", asserted + own(""), Enriched},
		{"assertion of a number", "", asserted + assertion(`{"iss":1,"sub":1}`), Enriched},
		{"assertion that is encrypted", "", asserted + "e30.e30.e30.e30.e30", Enriched},
		{"another kind of assertion", "", grant + "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Asaml2-bearer&client_assertion=x", Enriched},
		{"assertion of another", "", asserted + own("other"), ClientMismatch},
		{"assertion of another beside the body", "", asserted + own("other") + "&client_id=" + testClient, ClientMismatch},
		{"assertion that readers decode differently", "", asserted + assertion(`{"iss":"other","iss":"x","sub":"other"}`), ClientMismatch},
		{"assertion that can't be decoded", "", asserted + "e30.!.e30", ClientMismatch},

		{"basic of another", basic("other:s"), grant, ClientMismatch},
		{"basic of another behind a tab", "Basic\tb3RoZXI6cw==", grant, ClientMismatch},
		{"basic of another beside the body", basic("other:s"), grant + "&client_id=" + testClient, ClientMismatch},
		{"basic of a space", basic("+:s"), grant, ClientMismatch},
		{"basic broken", "Basic %%%", grant, ClientMismatch},
		{"body of another", "", grant + "&client_id=other", ClientMismatch},
		{"body of two", "", grant + "&client_id=" + testClient + "&client_id=other", ClientMismatch},
		{"body in another case", "", grant + "&client_id=" + strings.ToUpper(testClient), ClientMismatch},
		{"body with a space at an end", "", grant + "&client_id=" + testClient + "+", ClientMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(newFixture(t)) })
	}
}

// TestAssertionsAreReadOnce: kinds and assertions of which there are many don't
// multiply.
func TestAssertionsAreReadOnce(t *testing.T) {
	var many parameters
	for range 100 {
		many = append(many, parameter{name: "client_assertion_type", value: jwtBearer},
			parameter{name: "client_assertion", value: assertion(`{"iss":"a","sub":"a"}`)})
	}
	if clients, err := namedClients("", many, many); err != nil || len(clients) != 200 {
		t.Errorf("%d clients, error %v, want the 200 that are named", len(clients), err)
	}
}

func (tt clientTest) run(f *fixture) Result {
	f.t.Helper()
	f.exchange.Request.Authorization, f.exchange.Request.Body = tt.authorization, []byte(tt.body)
	return f.want(tt.outcome)
}

// named makes id the client of the token, with the same records.
func (f *fixture) named(id string) *fixture {
	f.claims["azp"] = id
	f.records["app:"+id] = f.records["app:"+testClient]
	return f
}

// TestGUID: GUIDs are the same in any letter case, and other client ids aren't.
func TestGUID(t *testing.T) {
	upper := strings.ToUpper(testGUID)
	for _, tt := range []struct {
		name, token, request string
		outcome              Outcome
	}{
		{"upper in the request", testGUID, upper, Enriched},
		{"upper in the token", upper, testGUID, Enriched},
		{"mixed", testGUID, "AAAAbbbb-cccc-DDDD-eeee-ffff00001111", Enriched},
		{"another", testGUID, strings.Replace(upper, "1111", "1112", 1), ClientMismatch},
		{"a digit too many", testGUID + "a", upper + "A", ClientMismatch},
		{"a digit that isn't one", "g" + testGUID[1:], "G" + upper[1:], ClientMismatch},
		{"without hyphens", strings.ReplaceAll(testGUID, "-", ""), strings.ReplaceAll(upper, "-", ""), ClientMismatch},
		{"hyphens elsewhere", "aaaabbbbc-ccc-dddd-eeee-ffff00001111", "AAAABBBBC-CCC-DDDD-EEEE-FFFF00001111", ClientMismatch},
		{"in braces", "{" + testGUID + "}", "{" + upper + "}", ClientMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for way, c := range map[string]clientTest{
				"body":      {"", "", "grant_type=client_credentials&client_secret=s&client_id=" + url.QueryEscape(tt.request), tt.outcome},
				"basic":     {"", basic(tt.request + ":s"), "grant_type=client_credentials", tt.outcome},
				"assertion": {"", "", "grant_type=client_credentials&client_assertion_type=" + url.QueryEscape(jwtBearer) + "&client_assertion=" + assertion(`{"iss":"`+tt.request+`","sub":"`+tt.request+`"}`), tt.outcome},
			} {
				t.Run(way, func(t *testing.T) { c.run(newFixture(t).named(tt.token)) })
			}
		})
	}
}

// TestClientWithSpaces: a client id may have spaces, form-encoded or not.
func TestClientWithSpaces(t *testing.T) {
	const name = "My Billing Service"
	const grant = "grant_type=client_credentials&client_secret=s"
	for _, tt := range []clientTest{
		{"body", "", grant + "&client_id=My+Billing+Service", Enriched},
		{"body, escaped", "", grant + "&client_id=My%20Billing%20Service", Enriched},
		{"basic as it is", basic(name + ":s"), grant, Enriched},
		{"basic form-encoded", basic("My+Billing+Service:s"), grant, Enriched},
		{"one space less", "", grant + "&client_id=My+BillingService", ClientMismatch},
		{"a space at an end", "", grant + "&client_id=My+Billing+Service+", ClientMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(newFixture(t).named(name)) })
	}
}

func TestBasicClientIsFormEncoded(t *testing.T) {
	clientTest{"", basic("app%3A1:s"), "grant_type=client_credentials", Enriched}.run(newFixture(t).named("app:1"))
}

// TestMismatchSaysWhatDiffers: the cause names the place in the request and the
// claim of the token, and shows no client id of the request: it may be a secret in
// the wrong place.
func TestMismatchSaysWhatDiffers(t *testing.T) {
	const grant = "grant_type=client_credentials"
	for _, tt := range []struct {
		name, authorization, query, body, says string
	}{
		{"body", "", "", grant + "&client_id=other-client", `client_id in the body`},
		{"query", "", "client_id=other-client", grant, `client_id in the query`},
		{"basic", basic("other-client:s"), "", grant, `user of the Basic credentials`},
		{"assertion", "", "", grant + "&client_assertion_type=" + url.QueryEscape(jwtBearer) + "&client_assertion=" + assertion(`{"iss":"other-client","sub":"other-client"}`), `sub of the client assertion`},
		{"letter case", "", "", grant + "&client_id=" + strings.ToUpper(testClient), "letter case"},
		{"space", "", "", grant + "&client_id=" + testClient + "+", "white space"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.exchange.Request.Query = tt.query
			r := clientTest{"", tt.authorization, tt.body, ClientMismatch}.run(f)
			for _, want := range []string{tt.says, `"azp"`, testClient} {
				if !strings.Contains(r.Cause.Error(), want) {
					t.Errorf("the cause is %q, want %q in it", r.Cause, want)
				}
			}
			if strings.Contains(r.Cause.Error(), "other-client") {
				t.Errorf("the cause %q shows the client id of the request", r.Cause)
			}
		})
	}
}

// TestClientClaims: without client_id_claim, every claim that usually names the
// client must name the same one.
func TestClientClaims(t *testing.T) {
	upper := strings.ToUpper(testGUID)
	for _, tt := range []struct {
		name    string
		claims  map[string]any
		client  string // "" if the token is refused
		names   string // in the cause
		setting []any
	}{
		{"azp", map[string]any{"azp": testClient}, testClient, "", nil},
		{"client_id", map[string]any{"client_id": testClient}, testClient, "", nil},
		{"appid", map[string]any{"appid": testClient}, testClient, "", nil},
		{"cid", map[string]any{"cid": testClient}, testClient, "", nil},
		{"two that agree", map[string]any{"azp": testClient, "client_id": testClient}, testClient, "", nil},
		{"all four", map[string]any{"azp": testClient, "client_id": testClient, "appid": testClient, "cid": testClient}, testClient, "", nil},
		{"GUIDs in two cases", map[string]any{"azp": testGUID, "appid": upper}, testGUID, "", nil},
		{"a null", map[string]any{"azp": nil, "client_id": testClient}, testClient, "", nil},
		{"none", map[string]any{}, "", "azp, client_id, appid or cid", nil},
		{"only nulls", map[string]any{"azp": nil, "cid": nil}, "", "azp, client_id, appid or cid", nil},
		{"two that differ", map[string]any{"azp": testClient, "client_id": "other"}, "", `"azp" and "client_id"`, nil},
		{"the last of three differs", map[string]any{"azp": testClient, "appid": testClient, "cid": "other"}, "", `"azp" and "cid"`, nil},
		{"two that differ in letter case", map[string]any{"client_id": testClient, "cid": strings.ToUpper(testClient)}, "", `"client_id" and "cid"`, nil},
		{"one is a list", map[string]any{"azp": testClient, "cid": []string{testClient}}, "", `"cid"`, nil},
		{"one is empty", map[string]any{"azp": testClient, "cid": ""}, "", `"cid"`, nil},
		{"a name in another case", map[string]any{"AZP": testClient}, "", "azp, client_id, appid or cid", nil},
		{"the configured one decides", map[string]any{"azp": "other", "cid": testClient}, testClient, "", []any{"cid"}},
		{"the configured one is missing", map[string]any{"azp": testClient}, "", `"cid"`, []any{"cid"}},
		{"the configured one is a null", map[string]any{"azp": testClient, "cid": nil}, "", `"cid"`, []any{"cid"}},
		{"a configured path", map[string]any{"azp": "other", "client": map[string]any{"id": testClient}}, testClient, "", []any{"client", "id"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.exchange.Request.Body = []byte("grant_type=client_credentials")
			f.named(testGUID)
			delete(f.claims, "azp")
			for name, value := range tt.claims {
				f.claims[name] = value
			}
			want := Enriched
			if tt.client == "" {
				want = UntrustedToken
			}
			if tt.setting != nil {
				f.set("", "client_id_claim", tt.setting)
			}
			r := f.want(want)
			if r.ClientID != tt.client {
				t.Errorf("the client is %q, want %q", r.ClientID, tt.client)
			}
			if tt.names != "" && !strings.Contains(r.Cause.Error(), tt.names) {
				t.Errorf("the cause is %q, want %q in it", r.Cause, tt.names)
			}
		})
	}
}

// TestClientsAgree compares the check of a request's client with a plain rule, in
// requests that name clients in every way at once: the token is enriched only if
// each that has a value is the token's.
func TestClientsAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	ids := []string{"", testGUID, testGUID, testGUID, strings.ToUpper(testGUID), testClient, "My Billing Service", "+", "%", testGUID + " ", " " + testGUID, "other"}
	f := newFixture(t).named(testGUID)
	e, x := f.enricher(), f.complete()
	count := map[Outcome]int{}
	for range 5_000 {
		body, want := "grant_type=client_credentials", Enriched
		name := func() string {
			id := pick(ids...)
			if id != "" && !strings.EqualFold(id, testGUID) {
				want = ClientMismatch
			}
			return id
		}
		for range random.IntN(3) {
			body += "&client_id=" + url.QueryEscape(name())
		}
		x.Request.Query, x.Request.Authorization = "", ""
		if random.IntN(3) == 0 {
			x.Request.Query = "client_id=" + url.QueryEscape(name())
		}
		if random.IntN(2) == 0 {
			x.Request.Authorization = basic(url.QueryEscape(name()) + ":" + pick("", "s", "a:b"))
		}
		if random.IntN(2) == 0 {
			id, issuer := pick(ids...), "https://workload.example"
			if random.IntN(2) == 0 {
				id = name()
				issuer = id
			}
			claims, err := json.Marshal(map[string]string{"iss": issuer, "sub": id})
			must(t, err)
			body += fmt.Sprintf("&client_assertion_type=%s&client_assertion=%s", url.QueryEscape(jwtBearer), assertion(string(claims)))
		}
		x.Request.Body = []byte(body)
		r := e.Enrich(context.Background(), x)
		if r.Outcome != want {
			t.Fatalf("outcome %s, want %s: %v\n%s\n%s\n%s", r.Outcome, want, r.Cause, body, x.Request.Query, x.Request.Authorization)
		}
		count[want]++
	}
	if count[Enriched] < 500 || count[ClientMismatch] < 500 {
		t.Errorf("got %v, want 500 of each", count)
	}
}
