package enrich

import (
	"fmt"
	"net/http"
)

// Outcome names what became of one exchange. It is the word in logs, in
// metrics and in the answer to the client.
type Outcome string

// The outcomes, in the order in which they are decided: the first that
// matches.
const (
	BadRequest            Outcome = "bad_request"
	UpstreamError         Outcome = "upstream_error"
	BadTokenResponse      Outcome = "bad_token_response"
	NotTokenResponse      Outcome = "not_token_response"
	AmbiguousRequest      Outcome = "ambiguous_request"
	NotM2M                Outcome = "not_m2m"
	OpaqueToken           Outcome = "opaque_token"
	KeysUnavailable       Outcome = "keys_unavailable"
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
	TokenTooLarge         Outcome = "token_too_large"
	InternalError         Outcome = "internal_error"
	Enriched              Outcome = "enriched"
)

// disposition is what happens to the upstream's answer.
type disposition int

const (
	stop   disposition = iota // an OAuth error instead
	policy                    // failure_policy decides between stop and pass
	pass                      // it stays as it is
)

// rule says how an outcome is answered: with which status and which error code
// of RFC 6749 section 5.2 (or RFC 8707 section 2) unless the answer passes.
type rule struct {
	disposition disposition
	status      int
	code        string
}

var rules = map[Outcome]rule{
	BadRequest:            {stop, http.StatusBadRequest, "invalid_request"},
	UpstreamError:         {disposition: pass},
	BadTokenResponse:      {stop, http.StatusBadGateway, "server_error"},
	NotTokenResponse:      {disposition: pass},
	AmbiguousRequest:      {stop, http.StatusBadRequest, "invalid_request"},
	NotM2M:                {disposition: pass},
	OpaqueToken:           {policy, http.StatusBadGateway, "server_error"},
	KeysUnavailable:       {stop, http.StatusServiceUnavailable, "temporarily_unavailable"},
	UntrustedToken:        {stop, http.StatusBadGateway, "server_error"},
	ClientMismatch:        {stop, http.StatusBadGateway, "server_error"},
	ManagementAudience:    {disposition: pass},
	MixedAudience:         {stop, http.StatusBadRequest, "invalid_target"},
	UnknownApplication:    {policy, http.StatusBadRequest, "unauthorized_client"},
	UnknownOrganization:   {stop, http.StatusBadRequest, "unauthorized_client"},
	UnknownUser:           {stop, http.StatusBadRequest, "unauthorized_client"},
	InvalidRecord:         {stop, http.StatusBadRequest, "unauthorized_client"},
	SuspendedOrganization: {stop, http.StatusBadRequest, "unauthorized_client"},
	MissingProperty:       {policy, http.StatusBadRequest, "unauthorized_client"},
	ClaimConflict:         {stop, http.StatusBadRequest, "unauthorized_client"},
	LookupUnavailable:     {policy, http.StatusServiceUnavailable, "temporarily_unavailable"},
	TokenTooLarge:         {policy, http.StatusBadRequest, "unauthorized_client"},
	InternalError:         {stop, http.StatusInternalServerError, "server_error"},
}

// end is the error by which a step of the pipeline decides the outcome.
type end struct {
	outcome Outcome
	cause   error // for the operator's log; nil if the outcome says it all
}

func (e *end) Error() string { return fmt.Sprintf("%s: %v", e.outcome, e.cause) }

func endWith(outcome Outcome, format string, args ...any) error {
	return &end{outcome, fmt.Errorf(format, args...)}
}
