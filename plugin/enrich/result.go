package enrich

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Action is what to do with the provider's answer.
type Action int

// The zero Action refuses, so that a forgotten one lets nothing out.
const (
	Refuse  Action = iota // answer Status with the OAuth error
	Pass                  // leave the provider's answer as it is
	Replace               // answer Status with Body
)

// String returns the action's name.
func (a Action) String() string {
	switch a {
	case Pass:
		return "pass"
	case Replace:
		return "replace"
	}
	return "refuse"
}

// Result is the decision on one exchange.
type Result struct {
	Outcome  Outcome
	Action   Action
	Status   int
	Body     []byte   // of Replace
	Dropped  []string // members with other tokens and what describes them, which an enriched answer lacks
	Token    bool     // the provider's answer has or may have a token, so no cache may keep it
	ClientID string   // of the verified token, "" before it is verified
	Cause    error    // for the operator; holds no token, secret or record content, but what a workflow throws
	Printed  []string // by the workflow, at most MaxPrinted lines
	Computed []string // names of the claims that the workflow sets beside the mapped ones

	policy string // the workflow's own, if it failed; "" means the configuration's
	issued issued
	held   *Held // of an enriched exchange, if reuse is enabled
	unfit  error // why held is nil then
}

// issued is what [Result.Issued] reads.
type issued struct {
	claims       jws.Claims // the provider's
	organization string
	added        []splice.Member
	keyID        string
}

// Issued describes the token of an enriched exchange.
type Issued struct {
	TokenID      string   // the claim jti, "" if the token has none
	Organization string   // the application's, "" if it names none
	Claims       []string // the names of those that were added
	KeyID        string   // of the gateway's key that signed
}

// Issued describes the token of r, whose exchange must have been enriched.
func (r Result) Issued() Issued {
	var id string
	if r.issued.claims.Object != nil {
		id, _ = r.issued.claims.TextAt([]string{"jti"})
	}
	i := Issued{id, r.issued.organization, make([]string, 0, len(r.issued.added)), r.issued.keyID}
	for _, claim := range r.issued.added {
		i.Claims = append(i.Claims, claim.Name)
	}
	return i
}

// Held returns the answer of r if it may be given again. The error says why not.
func (r Result) Held() (*Held, error) {
	switch {
	case r.Outcome != Enriched:
		return nil, fmt.Errorf("the outcome is %s, and only answers with the outcome %s are reused", r.Outcome, Enriched)
	case r.Action != Replace:
		return nil, errors.New("the client is observed, so it got the provider's own answer")
	case r.unfit != nil:
		return nil, r.unfit
	case r.held == nil:
		return nil, errors.New("reuse isn't enabled")
	}
	return r.held, nil
}

// Retry reports whether the same request may succeed a little later.
func (r Result) Retry() bool { return r.Status == http.StatusServiceUnavailable }

// OAuthError returns the body of a refusal (RFC 6749, section 5.2). An operator
// finds the cause in the log by requestID, which is Kong's.
func (r Result) OAuthError(requestID string) []byte {
	description := string(r.Outcome)
	if requestID != "" {
		description += fmt.Sprintf(" (request %s)", requestID)
	}
	body, _ := json.Marshal(struct { // two strings always marshal
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{r.Outcome.rule().code, description})
	return body
}

// Refusal returns a refusal that is decided outside the pipeline. A status of 0
// is the outcome's own.
func Refusal(outcome Outcome, status int, cause error) Result {
	return Result{Outcome: outcome, Action: Refuse, Status: cmp.Or(status, outcome.rule().status), Cause: cause}
}

// conclude returns the result of an exchange whose pipeline ended with err.
func (r Result) conclude(err error, cfg *schema.Config) Result {
	v, ok := errors.AsType[*verdict](err)
	switch {
	case err == nil:
		r.Outcome = Enriched
	case ok:
		r.Outcome, r.Cause = v.outcome, v.cause
	default:
		r.Outcome, r.Cause = InternalError, err
	}
	rule := r.Outcome.rule()
	switch {
	case rule.policy == pass, rule.policy == configured && cmp.Or(r.policy, cfg.FailurePolicy) == schema.PolicyContinue, !cfg.Enforces(r.ClientID):
		r.Action, r.Status, r.Body = Pass, 0, nil
	case rule.policy == replace:
		r.Action = Replace
	default:
		r.Action, r.Status, r.Body = Refuse, rule.status, nil
	}
	return r
}

// Failed reports whether the exchange failed: the client gets an OAuth error, or the
// provider's token because nobody is enforced.
func (r Result) Failed() bool {
	policy := r.Outcome.rule().policy
	return policy == stop || policy == configured
}

// Logged reports whether an operator should know of the exchange.
func (r Result) Logged() bool {
	rule := r.Outcome.rule()
	return r.Failed() || rule.policy == replace && rule.fault != byNobody
}
