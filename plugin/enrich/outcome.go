package enrich

import (
	"fmt"
	"net/http"
	"slices"
)

// Outcome names the result of one exchange. It is the word in logs, in metrics
// and in the answer to the client.
type Outcome string

// The outcomes. Each has its row in rules.
const (
	BadRequest            Outcome = "bad_request"
	Reused                Outcome = "reused"
	ReusedInOutage        Outcome = "reused_in_outage"
	UpstreamError         Outcome = "upstream_error"
	BadTokenResponse      Outcome = "bad_token_response"
	NotTokenResponse      Outcome = "not_token_response"
	AmbiguousRequest      Outcome = "ambiguous_request"
	NotM2M                Outcome = "not_m2m"
	HiddenToken           Outcome = "hidden_token"
	OpaqueToken           Outcome = "opaque_token"
	KeysUnavailable       Outcome = "keys_unavailable"
	UnverifiedManagement  Outcome = "unverified_management"
	UntrustedToken        Outcome = "untrusted_token"
	ClientMismatch        Outcome = "client_mismatch"
	ManagementAudience    Outcome = "management_audience"
	MixedAudience         Outcome = "mixed_audience"
	UnknownApplication    Outcome = "unknown_application"
	UnknownOrganization   Outcome = "unknown_organization"
	UnknownUser           Outcome = "unknown_user"
	InvalidRecord         Outcome = "invalid_record"
	SuspendedOrganization Outcome = "suspended_organization"
	MissingProperty       Outcome = "missing_property"
	ClaimConflict         Outcome = "claim_conflict"
	LookupUnavailable     Outcome = "lookup_unavailable"
	WorkflowFailed        Outcome = "workflow_failed"
	TokenTooLarge         Outcome = "token_too_large"
	InternalError         Outcome = "internal_error"
	Enriched              Outcome = "enriched"
)

// policy says what happens to the provider's answer.
type policy string

const (
	stop       policy = "stop"           // the client gets an OAuth error
	configured policy = "failure_policy" // stop or pass, as the configuration says
	pass       policy = "pass"           // the client gets it unchanged
	replace    policy = "replace"        // the client gets it with the enriched token
)

// fault says where an outcome can be fixed.
type fault string

const (
	byClient   fault = "client"
	byProvider fault = "provider"
	byRecords  fault = "records" // or the claims made of them
	byGateway  fault = "gateway" // or what it depends on
	byNobody   fault = "nobody"
)

// rule is all that is known of an outcome. docs/outcomes.md shows the rules as a
// table.
type rule struct {
	outcome Outcome
	policy  policy
	status  int    // of the answer, unless the provider's passes
	code    string // of the OAuth error (RFC 6749 section 5.2, RFC 8707 section 2)
	fault   fault
	when    string
	advice  string // what an operator can do
}

// rules are in the order in which the outcomes are decided: the first that
// matches.
var rules = []rule{
	{BadRequest, stop, http.StatusBadRequest, "invalid_request", byClient,
		"the request asks for `websocket` in an `Upgrade` header, or has a method other than POST and OPTIONS (405)",
		"send the token request as RFC 6749 says"},
	{Reused, replace, http.StatusOK, "", byNobody,
		"the gateway gave an earlier answer to the same request again (`reuse`), without asking the provider",
		"nothing"},
	{ReusedInOutage, replace, http.StatusOK, "", byProvider,
		"the provider fails (5xx, 429 or no sign of life), so the gateway gave an earlier answer to the same request again (`reuse.if_provider_fails`)",
		"check the provider. Clients without an earlier answer get its errors"},
	{UpstreamError, pass, 0, "", byProvider,
		"the provider answered 4xx or 5xx",
		"read the provider's error"},
	{BadTokenResponse, stop, http.StatusBadGateway, "server_error", byProvider,
		"the provider answered with a redirect, or with a 2xx that isn't JSON, is over 256 KiB, has duplicate members, or (with `other_tokens: refuse`) has another token beside an M2M access token. Or a token comes with 1000 header lines, or with a cache header that Kong can't delete (its name has `_` or non-ASCII characters)",
		"look at what the provider answers on this route"},
	{NotTokenResponse, pass, 0, "", byNobody,
		"the provider answered with a 2xx and JSON without a token at any depth",
		"give the plugin a route of its own"},
	{AmbiguousRequest, stop, http.StatusBadRequest, "invalid_request", byClient,
		"the request is over 64 KiB, or not in [the one shape](#the-shape-of-a-token-request) that all readers understand alike. The plugin checks the headers and the query before the provider gets the request",
		"send a form or JSON body with one `grant_type`, and without what the cause names"},
	{NotM2M, pass, 0, "", byNobody,
		"the grant isn't `client_credentials`",
		"nothing: other grants aren't enriched"},
	{HiddenToken, stop, http.StatusBadGateway, "server_error", byProvider,
		"the provider's JSON has no token at the top. But it has a JWT, a deeper member such as `access_token`, or another spelling such as `accessToken`",
		"make the provider, or a proxy in front of it, answer with `access_token` at the top of one JSON object (RFC 6749, section 5.1)"},
	{OpaqueToken, configured, http.StatusBadGateway, "server_error", byProvider,
		"the access token isn't a signed JWT",
		"make the provider issue JWTs; often the client must ask for an audience"},
	{KeysUnavailable, stop, http.StatusServiceUnavailable, "temporarily_unavailable", byGateway,
		"the plugin can't fetch the provider's keys, and none is cached",
		"read the cause in the log: DNS, TLS, proxy, discovery"},
	{UnverifiedManagement, pass, 0, "", byNobody,
		"the plugin can't verify the token, which is for the provider's management API alone, and `unverified_management` is `pass`",
		"nothing, if only the management API can verify its tokens"},
	{UntrustedToken, stop, http.StatusBadGateway, "server_error", byProvider,
		"the token has a wrong signature, algorithm, `typ`, `crit`, issuer, time or client id, or the gateway's own key signed it",
		"compare `issuer`, `algorithms` and `client_id_claim` with the provider's token"},
	{ClientMismatch, stop, http.StatusBadGateway, "server_error", byProvider,
		"the request names [another client](#the-client-that-asked) than the token",
		"send the client id exactly as the token has it; if it is right, look for a cache between Kong and the provider"},
	{ManagementAudience, pass, 0, "", byNobody,
		"the token is for the provider's management API",
		"nothing"},
	{MixedAudience, stop, http.StatusBadRequest, "invalid_target", byClient,
		"the token is for the management API and for another audience, and `reject_mixed_audience` is on",
		"ask for one audience at a time"},
	{UnknownApplication, configured, http.StatusBadRequest, "unauthorized_client", byRecords,
		"the application has no record",
		"write the record; compare `prefix`"},
	{UnknownOrganization, stop, http.StatusBadRequest, "unauthorized_client", byRecords,
		"the organization that the application or its token names has no record",
		"write the record"},
	{UnknownUser, stop, http.StatusBadRequest, "unauthorized_client", byRecords,
		"the user that the application or its token names has no record",
		"write the record"},
	{InvalidRecord, stop, http.StatusBadRequest, "unauthorized_client", byRecords,
		"a record isn't a hash, has an `is_suspended` other than true and false, has another `code` or `id` than its key, or has a property over 4096 bytes. Or the organization's code or the user's id can't be part of a key",
		"fix the record or the claim that the log names"},
	{SuspendedOrganization, stop, http.StatusBadRequest, "unauthorized_client", byRecords,
		"the organization's `is_suspended` is true",
		"nothing, or set it to false"},
	{MissingProperty, configured, http.StatusBadRequest, "unauthorized_client", byRecords,
		"a property that a claim needs is missing or has another type than the claim, or the claim's `expr` fails",
		"write the property, give the claim a default, or correct `expr` where the log says"},
	{ClaimConflict, stop, http.StatusBadRequest, "unauthorized_client", byRecords,
		"a claim, the organization or the user in the provider's token differs from the record",
		"compare the token with the record; correct the wrong one"},
	{LookupUnavailable, configured, http.StatusServiceUnavailable, "temporarily_unavailable", byGateway,
		"Redis doesn't answer, and no cached record is fresh enough",
		"read the cause in the log"},
	{WorkflowFailed, configured, http.StatusInternalServerError, "server_error", byRecords,
		"the workflow throws an error, never finishes, reaches a limit, or sets a claim that it may not set. The file's own `failurePolicy` takes precedence over `failure_policy`",
		"correct the workflow where the cause says, or the record that it reads. Try it with `m2m-token-enricher workflow run`, and load a changed file with `kong reload`"},
	{TokenTooLarge, configured, http.StatusBadRequest, "unauthorized_client", byRecords,
		"the enriched token is longer than `max_token_size`",
		"add fewer or shorter claims; `ec` keys make shorter signatures"},
	{InternalError, stop, http.StatusInternalServerError, "server_error", byGateway,
		"there is no signing key, the configuration has an error, the deadline passed, or the plugin has a bug",
		"read the cause in the log"},
	{Enriched, replace, http.StatusOK, "", byNobody,
		"no other outcome matches",
		"nothing"},
}

func (o Outcome) rule() rule {
	return rules[slices.IndexFunc(rules, func(r rule) bool { return r.outcome == o })]
}

// Advice returns what an operator can do about o.
func (o Outcome) Advice() string { return o.rule().advice }

// GatewayFails reports whether the gateway, or what it depends on, is at fault.
func (o Outcome) GatewayFails() bool { return o.rule().fault == byGateway }

// verdict is the error with which a step ends the pipeline.
type verdict struct {
	outcome Outcome
	cause   error // for the operator's log; nil if the outcome says it all
}

func (v *verdict) Error() string {
	if v.cause == nil {
		return string(v.outcome)
	}
	return fmt.Sprintf("%s: %v", v.outcome, v.cause)
}

// decided returns a verdict. Its cause holds no token, secret or value of a
// record.
func decided(outcome Outcome, format string, args ...any) error {
	return &verdict{outcome, fmt.Errorf(format, args...)}
}
