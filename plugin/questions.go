package plugin

import (
	"cmp"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/plugin/reuse"
	"m2m-token-enricher/schema"
)

// nginx' variables that some events need beside the rest.
const (
	traceparentVariable   = "http_traceparent"
	addressVariable       = "remote_addr" // of the client or, behind a trusted proxy, what that says
	hostVariable          = "http_host"
	authorizationVariable = "http_authorization"
	requestIDVariable     = "kong_request_id" // the same in both phases
)

// headerVariable is nginx' variable with a header. It has those of all headers whose
// names differ from name only in - and _.
func headerVariable(name string) string { return "http_" + strings.ReplaceAll(name, "-", "_") }

// questions are what the events of an instance ask Kong first, in one round trip each.
type questions struct {
	access   pdk.RequestQuestions
	response pdk.ExchangeQuestions

	chosen       func(name []byte) bool // the headers of the provider's answer that decide
	vary, bypass []string               // variables with the headers of reuse
	route        string                 // of all requests, "" if Kong is asked for each one's
}

// newQuestions prepares questions. They ask for the traceparent header if events are
// traced, and for the client's IP if withIP.
func newQuestions(traced, withIP bool) questions {
	return questions{
		access:   pdk.PrepareRequest(false),
		response: pdk.PrepareExchange(common(traced, withIP)...),
		chosen:   cacheHeader,
	}
}

// newReuseQuestions are newQuestions for a configuration whose answers may be given
// again. A service may have several routes, which only a header may tell apart, so
// its requests have to be asked for theirs.
func newReuseQuestions(traced, withIP bool, s scope, r schema.Reuse) questions {
	q := questions{route: s.Route, chosen: func(name []byte) bool { return cacheHeader(name) || string(name) == setCookie }}
	for _, name := range r.VaryHeaders {
		q.vary = append(q.vary, headerVariable(name))
	}
	for _, name := range r.BypassHeaders {
		q.bypass = append(q.bypass, headerVariable(name))
	}
	also := common(traced, withIP)
	access := slices.Concat(also, []string{hostVariable, requestIDVariable}, q.vary, q.bypass)
	slices.Sort(access)
	q.access = pdk.PrepareRequest(true, slices.Compact(access)...)
	if q.route == "" {
		q.access = q.access.WithRoute()
	}
	q.response = pdk.PrepareExchange(append(also, requestIDVariable, authorizationVariable)...)
	return q
}

func common(traced, withIP bool) (variables []string) {
	if traced {
		variables = append(variables, traceparentVariable)
	}
	if withIP {
		variables = append(variables, addressVariable)
	}
	return variables
}

// repeated is the request as it is compared with others.
func (q *questions) repeated(r pdk.Request) reuse.Request {
	given := r.Variables
	request := reuse.Request{
		ID: string(given.Of(requestIDVariable)), Route: cmp.Or(q.route, r.Route), Line: r.Line, Host: string(given.Of(hostVariable)),
		ContentType: r.ContentType, ContentEncoding: r.ContentEncoding, Authorization: r.Authorization, Cookie: r.Cookie, Body: r.Body,
	}
	for _, name := range q.vary {
		request.Vary = append(request.Vary, string(given.Of(name)))
	}
	request.Bypass = enrich.QueryAsserts(r.Query) || slices.ContainsFunc(q.bypass, func(name string) bool { return len(given.Of(name)) > 0 })
	return request
}
