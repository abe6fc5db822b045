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

// Exchange is one token request and the provider's answer to it, as Kong hands
// them over. Its byte slices must not be modified afterwards.
type Exchange struct {
	Request  Request
	Response Response

	// Partial says that only the request's body, the response's status and body
	// and HeadersError are here. The rest of the request is then one for which
	// CheckRequest returns nil. See NeedsRest.
	Partial bool

	plain     tokenRequest // what a partial exchange asks for, read by NeedsRest
	plainRead bool         // the body alone says it
}

// Request is what the client sent. Its texts need not be UTF-8. A header that
// was sent in several lines is joined by commas.
type Request struct {
	Method          string
	Query           string // raw
	ContentType     string
	ContentEncoding string
	Authorization   string
	Cookie          string
	Body            []byte
	BodyError       error // why Body couldn't be read, if it couldn't
}

// Response is what the upstream answered.
type Response struct {
	Status          int
	ContentEncoding string
	Body            []byte
	HeadersError    error // why a cache could keep it whatever is answered, if it could
}

// succeeded reports whether the status is one of success (RFC 9110, section 15.3).
func (r Response) succeeded() bool { return r.Status >= 200 && r.Status < 300 }

// Action is what to do with the upstream's answer.
type Action int

// The zero Action refuses, so that a forgotten one lets nothing out.
const (
	Refuse  Action = iota // answer Status with the OAuth error
	Pass                  // leave the upstream's answer as it is
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
	Body     []byte // of Replace
	Token    bool   // the upstream's answer has a token, or may have one, so no cache may keep it
	ClientID string // of the verified token, "" before it is verified
	Cause    error  // for the operator; holds no token, secret or record content

	issued issued
}

// issued is what an enriched token was made of.
type issued struct {
	claims       jws.Claims // the provider's
	organization string
	added        []splice.Member
	keyID        string
}

// Issued says what the token of an enriched exchange is.
type Issued struct {
	TokenID      string   // the claim jti, "" if the token has none
	Organization string   // the application's, "" if it names none
	Claims       []string // names of those that were added
	KeyID        string   // of the gateway's key that signed
}

// Issued says what the token is that r answers with, of an exchange that was
// enriched.
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

// Retry tells whether the same request may succeed a little later.
func (r Result) Retry() bool { return r.Status == http.StatusServiceUnavailable }

// OAuthError returns the body of a refusal (RFC 6749, section 5.2).
// requestID is Kong's, by which an operator finds the cause in the log.
func (r Result) OAuthError(requestID string) []byte {
	description := string(r.Outcome)
	if requestID != "" {
		description += fmt.Sprintf(" (request %s)", requestID)
	}
	body, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{rules[r.Outcome].code, description})
	if err != nil {
		return []byte(`{"error":"server_error"}`) // two strings always marshal
	}
	return body
}

// Refusal returns the decision to answer outcome's OAuth error, for what is
// decided outside the pipeline. status overrides the outcome's own unless it
// is 0.
func Refusal(outcome Outcome, status int, cause error) Result {
	return Result{Outcome: outcome, Action: Refuse, Status: cmp.Or(status, rules[outcome].status), Cause: cause}
}

// settle turns the outcome of the pipeline into what is done about it.
func settle(r Result, err error, cfg *schema.Config) Result {
	e, decided := errors.AsType[*end](err)
	switch {
	case err == nil:
		r.Outcome, r.Action = Enriched, Replace
	case decided:
		r.Outcome, r.Cause = e.outcome, e.cause
		r.Action, r.Status = Refuse, rules[e.outcome].status
	default:
		r.Outcome, r.Cause = InternalError, err
		r.Action, r.Status = Refuse, rules[InternalError].status
	}
	passes := rules[r.Outcome].disposition == pass ||
		rules[r.Outcome].disposition == policy && cfg.FailurePolicy == schema.PolicyContinue
	if passes || !cfg.Enforces(r.ClientID) {
		r.Action, r.Status, r.Body = Pass, 0, nil
	}
	return r
}

// Failed tells whether the exchange is one that an operator should know of.
func (r Result) Failed() bool { return r.Outcome != Enriched && rules[r.Outcome].disposition != pass }
