package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/pdk"
)

// stale are the headers that speak of a body which is no longer the answer's.
// Kong keeps every header that it isn't told to delete.
var stale = []string{
	"ETag", "Last-Modified", "Digest", "Content-Digest", "Repr-Digest", "Content-MD5", "Signature", "Signature-Input",
	"Age", "Expires", "Content-Encoding",
}

// answer does what r decides and logs what an operator should know.
func answer(e *event, r enrich.Result) {
	requestID := ""
	if r.Failed() {
		requestID = e.kong.RequestID()
		report(e, r, requestID)
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
		e.kong.Exit(r.Status, r.Body, changed.Deleting(e.cacheHeaders...))
	default:
		e.kong.Exit(r.Status, r.OAuthError(requestID), refused(r).Deleting(e.cacheHeaders...))
	}
}

// changed are the headers of an answer whose body is the gateway's.
var changed = pdk.PrepareHeaders(changes())

func changes() map[string][]string {
	headers := map[string][]string{"Cache-Control": {"no-store"}, "Pragma": {"no-cache"}}
	for _, name := range stale {
		headers[name] = []string{} // deletes it
	}
	return headers
}

func refused(r enrich.Result) pdk.PreparedHeaders {
	headers := changes()
	headers["Content-Type"] = []string{"application/json; charset=utf-8"}
	headers["Location"] = []string{}
	switch {
	case r.Retry():
		headers["Retry-After"] = []string{"1"} // the pause after which a dependency is asked again, s
	case r.Status == http.StatusMethodNotAllowed:
		headers["Allow"] = []string{"POST, OPTIONS"}
	}
	return pdk.PrepareHeaders(headers)
}

// report writes one line about r: as an error if the gateway or what it depends
// on failed, otherwise as a warning. Of failures that repeat it writes some.
func report(e *event, r enrich.Result, requestID string) {
	missed := 0
	if e.lines != nil {
		var allowed bool
		if allowed, missed = e.lines.allow(string(r.Outcome), r.ClientID); !allowed {
			return
		}
	}
	line := logLine(r, requestID, missed)
	if r.Outcome.GatewayFails() {
		e.log(pdk.Error, line)
		return
	}
	e.log(pdk.Warn, line)
}

// logLine is one line in the form of logfmt. missed is how many like it weren't
// written.
func logLine(r enrich.Result, requestID string, missed int) string {
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
	if missed > 0 {
		fmt.Fprintf(&line, " not_logged=%d", missed)
	}
	return line.String()
}

// publish answers with what the gateway has at path. nginx answers a matching
// If-None-Match with 304 by itself, and a HEAD without the body.
func publish(ctx context.Context, e *event, g *gateway.Gateway, path string) {
	doc, err := g.Publish(ctx, path)
	if err != nil {
		answer(e, enrich.Refusal(enrich.InternalError, http.StatusServiceUnavailable, err))
		return
	}
	e.kong.Exit(http.StatusOK, doc.Body, pdk.PrepareHeaders(map[string][]string{
		"Content-Type":                {doc.ContentType},
		"Cache-Control":               {fmt.Sprintf("public, max-age=%d", doc.MaxAge/time.Second)},
		"ETag":                        {entityTag(doc.Body)},
		"Access-Control-Allow-Origin": {"*"},
	}))
}

func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}
