package plugin

import (
	"fmt"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/plugin/visible"
)

// event is what a handler knows of one event of Kong's.
type event struct {
	kong        *pdk.Event
	failures    *failureLimit
	observation observation

	// cacheHeaders are those of the provider's answer that could make a cache keep
	// it. Not every event asks Kong for them.
	cacheHeaders      []string
	cacheHeadersKnown bool
	setsCookie        bool // the provider's answer does; known only if answers may be given again
}

// exchange asks Kong for what nearly every decision needs, and for variables of nginx.
func (e *event) exchange(q questions) (x enrich.Exchange, variables pdk.Values, err error) {
	given, err := e.kong.Exchange(q.response, q.chosen)
	unclear := e.setCacheHeaders(given.Headers) // also with an error: a failed event may pass the answer
	if err != nil {
		return x, given.Variables, err
	}
	x.Partial = true
	x.Response = enrich.Response{Status: given.Status, Body: given.Body, HeadersError: unclear}
	x.Request = enrich.Request{Body: given.RequestBody, BodyError: given.RequestBodyError}
	x.IP = string(given.Variables.Of(addressVariable))
	return x, given.Variables, nil
}

// details asks Kong for the details of an exchange, which is then complete.
func (e *event) details(x *enrich.Exchange) error {
	d, err := e.kong.Details()
	x.Response.ContentEncoding = d.ContentEncoding
	x.Request.Method, x.Request.Query = d.Method, d.Query
	x.Request.ContentType, x.Request.ContentEncoding = d.ContentType, d.RequestEncoding
	x.Request.Authorization, x.Request.Cookie = d.Authorization, d.Cookie
	x.Partial = false
	return err
}

// setCacheHeaders keeps those headers of the provider's answer that are for caches.
// The error is that of [deletableHeaders].
func (e *event) setCacheHeaders(answer pdk.HeaderNames) (unclear error) {
	e.cacheHeadersKnown = true
	answer.Names = slices.DeleteFunc(answer.Names, func(name string) bool {
		e.setsCookie = e.setsCookie || name == setCookie
		return name == setCookie
	})
	e.cacheHeaders, unclear = deletableHeaders(answer)
	return unclear
}

// setCookie is the header of an answer that is for one client alone.
const setCookie = "set-cookie"

// warn logs a warning about what, if there is one, in one line. A collector's may
// be whatever it answered.
func (e *event) warn(what string, warning error) {
	if warning != nil {
		text := strings.Join(strings.Fields(warning.Error()), " ")
		e.log(pdk.Warn, fmt.Sprintf("%s: %.1000s", what, text))
	}
}

// log writes a line to Kong's log.
func (e *event) log(level pdk.Level, line string) { e.kong.Log(level, visible.Line(line)) }
