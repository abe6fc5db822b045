package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/plugin/reuse"
)

// repeat answers a request that repeats another one, if its answer may be given again.
// Otherwise the request goes to the provider.
func repeat(ctx context.Context, e *event, answers *reuse.Answers, request pdk.Request, q questions) {
	ctx = e.observation.trace(ctx, request.Variables.Of(traceparentVariable))
	r, ok := answers.Find(ctx, q.repeated(request), string(request.Variables.Of(addressVariable)))
	if !ok {
		e.observation.undecided()
		return
	}
	logPrinted(e, r)
	answer(e, r)
}

// instead returns an answer that may replace the provider's failure, if x is one.
func instead(ctx context.Context, e *event, answers *reuse.Answers, x *enrich.Exchange, variables pdk.Values) (r enrich.Result, ok bool, err error) {
	status := x.Response.Status
	if status != http.StatusTooManyRequests && status < http.StatusInternalServerError {
		return r, false, nil
	}
	retryAfter, err := e.kong.RetryAfter()
	if err != nil {
		return r, false, err
	}
	r, ok = answers.Instead(ctx, string(variables.Of(requestIDVariable)), status, retryAfter, x.IP)
	if ok && r.Outcome == enrich.Reused { // another request got it a moment ago
		r = r.InOutage(fmt.Errorf("the provider answered %d", status))
	}
	return r, ok && x.Response.HeadersError == nil, nil // if headers are unclear, a cache could keep the answer despite no-store
}

// settle reports the result r of x to the requests that wait for it. An err, or no
// result at all, means that the event failed.
func settle(e *event, answers *reuse.Answers, x *enrich.Exchange, variables pdk.Values, r enrich.Result, err error) {
	if err != nil || r.Outcome == "" {
		r = enrich.Refusal(enrich.InternalError, 0, err)
	}
	var unfit error
	if e.setsCookie {
		unfit = errors.New("the provider's answer sets a cookie")
	}
	id, authorization := string(variables.Of(requestIDVariable)), string(variables.Of(authorizationVariable))
	answers.Answered(id, authorization, x.Request.Body, r, unfit)
}
