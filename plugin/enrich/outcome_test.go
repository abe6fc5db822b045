package enrich

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// outcomeTest is an exchange with one outcome.
type outcomeTest struct {
	name    string
	spoil   func(*fixture)
	outcome Outcome
	status  int
	code    string
}

// outcomes has at least one exchange for each rule, in their order. Each also
// spoils what a later rule is about where that is possible, to test the order.
var outcomes = []outcomeTest{
	{"upstream 401", func(f *fixture) { f.exchange.Response.Status = 401 }, UpstreamError, 0, ""},
	{"upstream 503", func(f *fixture) { f.exchange.Response.Status = 503; f.exchange.Request.Body = nil }, UpstreamError, 0, ""},
	{"307", func(f *fixture) { f.exchange.Response.Status = 307; f.exchange.Request.Body = nil }, BadTokenResponse, 502, "server_error"},
	{"html with a token inside", func(f *fixture) {
		f.body = []byte("<html>" + f.sign() + "</html>")
		f.exchange.Request.Body = nil
	}, BadTokenResponse, 502, "server_error"},
	{"empty body", func(f *fixture) { f.body = []byte{} }, BadTokenResponse, 502, "server_error"},
	{"json without a token", func(f *fixture) {
		f.body = []byte(`{"keys":[]}`)
		f.exchange.Request.Body = nil
	}, NotTokenResponse, 0, ""},
	{"two grants", func(f *fixture) {
		f.exchange.Request.Body = []byte("grant_type=client_credentials&grant_type=refresh_token")
		f.response["refresh_token"] = "r"
	}, AmbiguousRequest, 400, "invalid_request"},
	{"other grant with a token in another object", func(f *fixture) {
		f.exchange.Request.Body = []byte("grant_type=authorization_code&code=x")
		f.body = []byte(`{"data":{"access_token":"opaque"}}`)
	}, NotM2M, 0, ""},
	{"other grant", func(f *fixture) {
		f.exchange.Request.Body = []byte("grant_type=authorization_code&code=x")
		f.response["refresh_token"], f.token = "r", "opaque"
	}, NotM2M, 0, ""},
	{"token in another object", func(f *fixture) {
		f.body = []byte(`{"data":{"access_token":"opaque","refresh_token":"r"}}`)
	}, HiddenToken, 502, "server_error"},
	{"refresh token", func(f *fixture) {
		f.set("", "other_tokens", "refuse")
		f.response["refresh_token"], f.token = "r", "opaque"
	}, BadTokenResponse, 502, "server_error"},
	{"id token", func(f *fixture) {
		f.set("", "other_tokens", "refuse")
		f.response["id_token"] = "r"
	}, BadTokenResponse, 502, "server_error"},
	{"access token is a number", func(f *fixture) { f.body = []byte(`{"access_token":1}`) }, BadTokenResponse, 502, "server_error"},
	{"opaque", func(f *fixture) {
		f.token, f.keys.err = "2YotnFZFEjr1zCsicMWpAA", jws.ErrKeysUnavailable
	}, OpaqueToken, 502, "server_error"},
	{"provider's keys unavailable", func(f *fixture) {
		f.keys.err = jws.ErrKeysUnavailable
		f.claims["iss"] = "https://evil.example"
	}, KeysUnavailable, 503, "temporarily_unavailable"},
	{"unverified management audience", func(f *fixture) {
		f.set("", "unverified_management", "pass")
		f.claims["aud"], f.claims["iss"] = testManagement, "https://evil.example"
	}, UnverifiedManagement, 0, ""},
	{"wrong issuer", func(f *fixture) {
		f.claims["iss"] = "https://evil.example"
		f.exchange.Request.Body = []byte("grant_type=client_credentials&client_id=other")
	}, UntrustedToken, 502, "server_error"},
	{"expired", func(f *fixture) { f.claims["exp"] = testNow.Unix() - 61 }, UntrustedToken, 502, "server_error"},
	{"not yet valid", func(f *fixture) { f.claims["nbf"] = testNow.Unix() + 61 }, UntrustedToken, 502, "server_error"},
	{"no exp", func(f *fixture) { delete(f.claims, "exp") }, UntrustedToken, 502, "server_error"},
	{"no client id", func(f *fixture) { delete(f.claims, "azp") }, UntrustedToken, 502, "server_error"},
	{"client id is a list", func(f *fixture) { f.claims["azp"] = []string{testClient} }, UntrustedToken, 502, "server_error"},
	{"client id is a redis key", func(f *fixture) { f.claims["azp"] = "x\r\nFLUSHALL" }, UntrustedToken, 502, "server_error"},
	{"client id ends with a space", func(f *fixture) { f.claims["azp"] = testClient + " " }, UntrustedToken, 502, "server_error"},
	{"client id too long", func(f *fixture) { f.claims["azp"] = strings.Repeat("a", 257) }, UntrustedToken, 502, "server_error"},
	{"signed by the gateway itself", func(f *fixture) {
		keys, err := jws.ParseProviderKeys(f.ring.PublicSet())
		must(f.t, err)
		f.keys.keys = keys
		f.set("", "algorithms", []any{"ES256"})
		text, err := json.Marshal(f.claims)
		must(f.t, err)
		if f.token, err = f.ring.Sign(context.Background(), nil, text); err != nil {
			f.t.Fatal(err)
		}
	}, UntrustedToken, 502, "server_error"},
	{"client mismatch", func(f *fixture) {
		f.exchange.Request.Body = []byte("grant_type=client_credentials&client_id=other")
		f.claims["aud"] = testManagement
	}, ClientMismatch, 502, "server_error"},
	{"management audience", func(f *fixture) { f.claims["aud"] = testManagement; f.records = memory{} }, ManagementAudience, 0, ""},
	{"management audience beside another", func(f *fixture) {
		f.claims["aud"] = []string{"https://api.example.com", testManagement}
	}, ManagementAudience, 0, ""},
	{"mixed audience", func(f *fixture) {
		f.claims["aud"] = []string{"https://api.example.com", testManagement}
		f.set("", "reject_mixed_audience", true)
	}, MixedAudience, 400, "invalid_target"},
	{"management audience alone is not mixed", func(f *fixture) {
		f.claims["aud"] = []string{testManagement, testManagement + "/"}
		f.set("", "reject_mixed_audience", true)
	}, ManagementAudience, 0, ""},
	{"no application record", func(f *fixture) { delete(f.records, "app:"+testClient) }, UnknownApplication, 400, "unauthorized_client"},
	{"no organization record", func(f *fixture) {
		delete(f.records, "org:"+testOrg)
		f.records["user:"+testUser] = schema.ErrInvalidRecord
		addClaim(f, "email", "user.email")
	}, UnknownOrganization, 400, "unauthorized_client"},
	{"no record of the organization in the token", func(f *fixture) {
		f.records["app:"+testClient], f.claims["org_code"] = schema.Record{"region": "eu"}, "org_other"
	}, UnknownOrganization, 400, "unauthorized_client"},
	{"no user record", func(f *fixture) {
		delete(f.records, "user:"+testUser)
		f.records["org:"+testOrg] = schema.ErrInvalidRecord
		addClaim(f, "email", "user.email")
	}, UnknownUser, 400, "unauthorized_client"},
	{"application of the wrong type", func(f *fixture) { f.records["app:"+testClient] = schema.ErrInvalidRecord }, InvalidRecord, 400, "unauthorized_client"},
	{"organization of the wrong type", func(f *fixture) { f.records["org:"+testOrg] = schema.ErrInvalidRecord }, InvalidRecord, 400, "unauthorized_client"},
	{"organization's code isn't its key", func(f *fixture) {
		f.records["org:"+testOrg] = schema.Record{"code": "org_other", "name": "Other", "is_suspended": "true"}
	}, InvalidRecord, 400, "unauthorized_client"},
	{"user's id isn't its key", func(f *fixture) {
		f.records["user:"+testUser] = schema.Record{"id": "kp_other", "email": "x"}
		addClaim(f, "email", "user.email")
	}, InvalidRecord, 400, "unauthorized_client"},
	{"bad flag", func(f *fixture) {
		f.records["org:"+testOrg] = schema.Record{"code": testOrg, "name": "A", "is_suspended": "yes"}
	}, InvalidRecord, 400, "unauthorized_client"},
	{"organization's code can't be a key", func(f *fixture) {
		f.records["app:"+testClient] = schema.Record{"org_code": "org_ä"}
	}, InvalidRecord, 400, "unauthorized_client"},
	{"organization in the token can't be a key", func(f *fixture) {
		f.records["app:"+testClient], f.claims["org_code"] = schema.Record{"region": "eu"}, "org\n"
	}, InvalidRecord, 400, "unauthorized_client"},
	{"organization in the token is a number", func(f *fixture) {
		f.records["app:"+testClient], f.claims["org_code"] = schema.Record{"region": "eu"}, 1
	}, InvalidRecord, 400, "unauthorized_client"},
	{"organization in the token has another code", func(f *fixture) {
		f.records["app:"+testClient], f.claims["org_code"] = schema.Record{"region": "eu"}, testOrg
		f.records["org:"+testOrg] = schema.Record{"code": "org_other"}
	}, InvalidRecord, 400, "unauthorized_client"},
	{"organization in the token is suspended", func(f *fixture) {
		f.records["app:"+testClient], f.claims["org_code"] = schema.Record{"region": "eu"}, testOrg
		f.records["org:"+testOrg] = schema.Record{"code": testOrg, "is_suspended": "true"}
	}, SuspendedOrganization, 400, "unauthorized_client"},
	{"organization in the token is suspended while the application is unavailable", func(f *fixture) {
		f.records["app:"+testClient], f.claims["org_code"] = schema.ErrUnavailable, testOrg
		f.records["org:"+testOrg] = schema.Record{"code": testOrg, "is_suspended": "true"}
	}, SuspendedOrganization, 400, "unauthorized_client"},
	{"suspended", func(f *fixture) {
		f.records["org:"+testOrg] = schema.Record{"code": testOrg, "is_suspended": "true"}
	}, SuspendedOrganization, 400, "unauthorized_client"},
	{"suspended in capitals", func(f *fixture) {
		f.records["org:"+testOrg] = schema.Record{"code": testOrg, "is_suspended": "TRUE"}
	}, SuspendedOrganization, 400, "unauthorized_client"},
	{"cached suspension during an outage", func(f *fixture) {
		f.records["org:"+testOrg] = outdated{"code": testOrg, "is_suspended": "true"}
	}, SuspendedOrganization, 400, "unauthorized_client"},
	{"cached suspension while nothing answers", func(f *fixture) {
		f.records["app:"+testClient] = outdated{"org_code": testOrg}
		f.records["org:"+testOrg] = outdated{"code": testOrg, "is_suspended": "true"}
	}, SuspendedOrganization, 400, "unauthorized_client"},
	{"missing property", func(f *fixture) {
		f.records["org:"+testOrg] = schema.Record{"code": testOrg}
		f.claims["org_code"] = "org_other"
	}, MissingProperty, 400, "unauthorized_client"},
	{"application without organization", func(f *fixture) {
		f.records["app:"+testClient] = schema.Record{"region": "eu"}
	}, MissingProperty, 400, "unauthorized_client"},
	{"mistyped property", func(f *fixture) {
		addClaim(f, "seats", "organization.plan", "type", "number", "default", "1")
	}, MissingProperty, 400, "unauthorized_client"},
	{"missing property known though an organization isn't", func(f *fixture) {
		f.records["org:"+testOrg] = schema.ErrUnavailable
		addClaim(f, "colour", "application.colour")
	}, MissingProperty, 400, "unauthorized_client"},
	{"token of another organization", func(f *fixture) { f.claims["org_code"] = "org_other" }, ClaimConflict, 400, "unauthorized_client"},
	{"token of another organization in another claim", func(f *fixture) {
		f.set("organization", "token_claim", []any{"ctx", "org"})
		f.claims["ctx"] = map[string]any{"org": "org_other"}
		f.records["org:"+testOrg] = schema.ErrUnavailable
	}, ClaimConflict, 400, "unauthorized_client"},
	{"claim differs", func(f *fixture) { f.claims["org_name"] = "Other Inc" }, ClaimConflict, 400, "unauthorized_client"},
	{"token of another user", func(f *fixture) {
		f.set("user", "token_claim", []any{"act", "sub"})
		f.claims["act"] = map[string]any{"sub": "kp_other"}
	}, ClaimConflict, 400, "unauthorized_client"},
	{"claim differs in case only", func(f *fixture) { f.claims["Org_Name"] = "Acme Inc" }, ClaimConflict, 400, "unauthorized_client"},
	{"redis silent", func(f *fixture) { f.records["app:"+testClient] = schema.ErrUnavailable }, LookupUnavailable, 503, "temporarily_unavailable"},
	{"redis silent on the organization", func(f *fixture) { f.records["org:"+testOrg] = schema.ErrUnavailable }, LookupUnavailable, 503, "temporarily_unavailable"},
	{"redis silent on the user", func(f *fixture) {
		f.records["user:"+testUser] = schema.ErrUnavailable
		addClaim(f, "email", "user.email", "default", "none")
	}, LookupUnavailable, 503, "temporarily_unavailable"},
	{"redis silent on the application, whose record may name another organization than the token", func(f *fixture) {
		f.records["app:"+testClient], f.claims["org_code"] = schema.ErrUnavailable, "org_unknown"
	}, LookupUnavailable, 503, "temporarily_unavailable"},
	{"redis silent on the organization in the token", func(f *fixture) {
		f.records["app:"+testClient], f.claims["org_code"] = schema.Record{"region": "eu"}, testOrg
		f.records["org:"+testOrg] = schema.ErrUnavailable
	}, LookupUnavailable, 503, "temporarily_unavailable"},
	{"application too old", func(f *fixture) { f.records["app:"+testClient] = outdated{"org_code": testOrg} }, LookupUnavailable, 503, "temporarily_unavailable"},
	{"organization too old", func(f *fixture) {
		f.records["org:"+testOrg] = outdated{"code": testOrg, "name": "Acme Inc"}
		f.ringErr = errors.New("no key")
	}, LookupUnavailable, 503, "temporarily_unavailable"},
	{"workflow throws", func(f *fixture) {
		f.workflow, f.ringErr = throwing("no plan"), errors.New("no key")
	}, WorkflowFailed, 500, "server_error"},
	{"workflow needs a record that isn't there", func(f *fixture) {
		delete(f.records, "user:"+testUser)
		f.workflow = reading(schema.User)
	}, UnknownUser, 400, "unauthorized_client"},
	{"workflow sets another claim than the provider", func(f *fixture) {
		f.claims["tier"], f.workflow = "gold", setting("tier", `"silver"`)
	}, ClaimConflict, 400, "unauthorized_client"},
	{"workflow sets a claim that is too large", func(f *fixture) {
		f.workflow = setting("text", `"`+strings.Repeat("a", 8000)+`"`)
	}, TokenTooLarge, 400, "unauthorized_client"},
	{"token too large", func(f *fixture) {
		f.records["org:"+testOrg] = schema.Record{"code": testOrg, "name": strings.Repeat("a", 4096)}
		f.set("", "max_token_size", 4096)
	}, TokenTooLarge, 400, "unauthorized_client"},
	{"no signing key", func(f *fixture) { f.ring, f.ringErr = nil, errors.New("no key") }, InternalError, 500, "server_error"},
	{"enriched", func(f *fixture) {}, Enriched, 200, ""},
	{"enriched without the other tokens", func(f *fixture) { f.response["refresh_token"], f.response["id_token"] = "r", "i" }, Enriched, 200, ""},
	{"201", func(f *fixture) { f.exchange.Response.Status = 201 }, Enriched, 201, ""},
}

func addClaim(f *fixture, name, from string, more ...string) {
	claim := map[string]any{"name": name, "from": from}
	for i := 0; i < len(more); i += 2 {
		claim[more[i]] = more[i+1]
	}
	f.config["claims"] = append(f.config["claims"].([]any), claim)
}

// eachOutcome calls check with the fixture of each of outcomes.
func eachOutcome(t *testing.T, check func(t *testing.T, f *fixture, tt outcomeTest)) {
	for _, tt := range outcomes {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			tt.spoil(f)
			check(t, f, tt)
		})
	}
}

func TestOutcomes(t *testing.T) {
	eachOutcome(t, func(t *testing.T, f *fixture, tt outcomeTest) {
		r := f.want(tt.outcome)
		want := Refuse
		switch {
		case tt.outcome == Enriched:
			want = Replace
		case tt.status == 0:
			want = Pass
		}
		if r.Action != want || r.Status != tt.status {
			t.Errorf("action %s, status %d, want %s, %d", r.Action, r.Status, want, tt.status)
		}
		if r.Failed() != (want == Refuse) || (r.Body != nil) != (want == Replace) {
			t.Errorf("failed: %v, a body: %v, with action %s", r.Failed(), r.Body != nil, want)
		}
		if want == Refuse {
			checkRefusal(t, r, tt.code)
		}
	})
}

func checkRefusal(t *testing.T, r Result, code string) {
	t.Helper()
	var body map[string]string
	must(t, json.Unmarshal(r.OAuthError("req-1"), &body))
	description := body["error_description"]
	if body["error"] != code || !strings.Contains(description, string(r.Outcome)) || !strings.Contains(description, "req-1") {
		t.Errorf("refused with %v, want %s with the outcome and req-1", body, code)
	}
	for _, content := range []string{"Acme", testOrg, testClient} {
		if strings.Contains(description, content) {
			t.Errorf("the answer holds %q: %s", content, description)
		}
	}
	if r.Retry() != (r.Status == 503) {
		t.Errorf("Retry() = %v with status %d", r.Retry(), r.Status)
	}
}

func TestEveryOutcomeIsTested(t *testing.T) {
	tested := map[Outcome]bool{
		BadRequest: true,                       // decided before the pipeline, by the access phase
		Reused:     true, ReusedInOutage: true, // decided before the provider is asked, or instead; see TestAgain
		Enriched: true,
	}
	for _, tt := range outcomes {
		tested[tt.outcome] = true
	}
	for _, r := range rules {
		if !tested[r.outcome] {
			t.Errorf("%s has no test", r.outcome)
		}
	}
}

func TestPolicyContinue(t *testing.T) {
	continues := []Outcome{OpaqueToken, UnknownApplication, MissingProperty, LookupUnavailable, WorkflowFailed, TokenTooLarge}
	eachOutcome(t, func(t *testing.T, f *fixture, tt outcomeTest) {
		f.set("", "failure_policy", "continue")
		got := f.want(tt.outcome).Action == Pass
		if want := tt.status == 0 || slices.Contains(continues, tt.outcome); got != want {
			t.Errorf("passes: %v, want %v", got, want)
		}
	})
}

func TestObserve(t *testing.T) {
	eachOutcome(t, func(t *testing.T, f *fixture, tt outcomeTest) {
		f.set("", "mode", "observe")
		if r := f.want(tt.outcome); r.Action != Pass || r.Body != nil {
			t.Errorf("action %s, a body: %v, want pass without a body", r.Action, r.Body != nil)
		}
	})
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := newFixture(t).run(ctx); r.Outcome != InternalError || r.Action != Refuse {
		t.Errorf("outcome %s, action %s, want %s, refuse", r.Outcome, r.Action, InternalError)
	}
}

// TestCausesHoldNoSecret: causes are logged, so they must not hold tokens, secrets or
// values of records.
func TestCausesHoldNoSecret(t *testing.T) {
	eachOutcome(t, func(t *testing.T, f *fixture, tt outcomeTest) {
		r := f.want(tt.outcome)
		for _, secret := range []string{f.token, f.token[:min(40, len(f.token))], "s3cret", "Acme"} {
			if r.Cause != nil && strings.Contains(r.Cause.Error(), secret) {
				t.Error("the cause holds a secret")
			}
		}
	})
}

func TestDecidesNothingByDefault(t *testing.T) {
	if (Result{}).Action != Refuse {
		t.Errorf("the zero Action = %s, want refuse", Result{}.Action)
	}
}
