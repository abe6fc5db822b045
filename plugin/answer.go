package plugin

import (
	"fmt"
	"net/http"
	"strings"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/pdk"
)

// answer does what r decides and logs what an operator should know.
func answer(e *event, r enrich.Result) {
	requestID := ""
	if r.Logged() {
		requestID = e.kong.RequestID()
		logFailure(e, r, requestID)
	}
	e.observation.answered(r, requestID)
	if r.Outcome != enrich.Enriched { // the usual one costs no call
		e.kong.Share("m2m_outcome", string(r.Outcome))
	}
	switch r.Action {
	case enrich.Pass:
		if r.Token {
			e.forbidStoring()
		}
	case enrich.Replace:
		e.kong.Exit(r.Status, r.Body, e.headersOf(r).Deleting(e.cacheHeaders...))
	default:
		e.kong.Exit(r.Status, r.OAuthError(requestID), refusalHeaders(r).Deleting(e.cacheHeaders...))
	}
}

// staleHeaders describe the upstream's body. Kong keeps every header that it isn't
// told to delete.
var staleHeaders = []string{
	"ETag", "Last-Modified", "Digest", "Content-Digest", "Repr-Digest", "Content-MD5", "Signature", "Signature-Input",
	"Age", "Expires", "Content-Encoding",
}

// newBodyHeaders are the headers of an answer whose body is the gateway's.
func newBodyHeaders() map[string][]string {
	headers := map[string][]string{"Cache-Control": {"no-store"}, "Pragma": {"no-cache"}}
	for _, name := range staleHeaders {
		headers[name] = []string{} // deletes it
	}
	return headers
}

// enrichedHeaders are those of an answer with an enriched token.
var enrichedHeaders = pdk.PrepareHeaders(newBodyHeaders())

// headersOf are the headers of r's body. An answer that is given again has the
// Content-Type of its own, and in the access phase nothing to delete.
func (e *event) headersOf(r enrich.Result) pdk.PreparedHeaders {
	switch {
	case r.Outcome == enrich.Enriched:
		return enrichedHeaders
	case e.kong.Phase == "access":
		return repeatedHeaders
	}
	return insteadHeaders
}

const jsonType = "application/json; charset=utf-8"

var (
	repeatedHeaders = pdk.PrepareHeaders(map[string][]string{"Cache-Control": {"no-store"}, "Pragma": {"no-cache"}, "Content-Type": {jsonType}})

	// insteadHeaders also delete what the provider's failure says.
	insteadHeaders = func() pdk.PreparedHeaders {
		headers := newBodyHeaders()
		headers["Content-Type"] = []string{jsonType}
		for _, name := range []string{"Location", "Retry-After", "WWW-Authenticate"} {
			headers[name] = []string{}
		}
		return pdk.PrepareHeaders(headers)
	}()
)

func refusalHeaders(r enrich.Result) pdk.PreparedHeaders {
	headers := newBodyHeaders()
	headers["Content-Type"] = []string{jsonType}
	headers["Location"] = []string{}
	switch {
	case r.Retry():
		headers["Retry-After"] = []string{"1"} // s; the pause after which a dependency is asked again
	case r.Status == http.StatusMethodNotAllowed:
		headers["Allow"] = []string{"POST, OPTIONS"}
	}
	return pdk.PrepareHeaders(headers)
}

// logFailure writes one line about r: an error if the gateway or what it depends on
// failed, otherwise a warning. It skips some of those that repeat.
func logFailure(e *event, r enrich.Result, requestID string) {
	allowed, skipped := e.failures.allow(string(r.Outcome), r.ClientID)
	if !allowed {
		return
	}
	line := logLine(r, requestID, skipped)
	if r.Outcome.GatewayFails() {
		e.log(pdk.Error, line)
		return
	}
	e.log(pdk.Warn, line)
}

// logPrinted writes a line for each that a workflow printed, and skips those of a
// client that has too many.
func logPrinted(e *event, r enrich.Result) {
	for _, text := range r.Printed {
		allowed, skipped := e.failures.allow("printed", r.ClientID)
		if !allowed {
			continue
		}
		line := fmt.Sprintf("workflow client=%q printed=%q", r.ClientID, text)
		if skipped > 0 {
			line += fmt.Sprintf(" not_logged=%d", skipped)
		}
		e.log(pdk.Notice, line)
	}
}

// logLine is one line in logfmt. skipped is how many like it weren't written.
func logLine(r enrich.Result, requestID string, skipped int) string {
	var line strings.Builder
	fmt.Fprintf(&line, "outcome=%s", r.Outcome)
	if r.ClientID != "" {
		fmt.Fprintf(&line, " client=%q", r.ClientID)
	}
	if requestID != "" {
		fmt.Fprintf(&line, " request=%q", requestID)
	}
	if r.Action == enrich.Pass {
		line.WriteString(" answer=upstream")
	}
	if r.Cause != nil {
		fmt.Fprintf(&line, " cause=%q", r.Cause.Error())
	}
	fmt.Fprintf(&line, " hint=%q", r.Outcome.Advice())
	if skipped > 0 {
		fmt.Fprintf(&line, " not_logged=%d", skipped)
	}
	return line.String()
}
