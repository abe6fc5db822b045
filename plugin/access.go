package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/pdk"
)

// access publishes the gateway's keys and metadata, refuses requests that would get
// around the response phase, and answers those that repeat another one.
func (i *instance) access(ctx context.Context, e *event) error {
	request, err := e.kong.Request(i.questions.access)
	if err != nil {
		return err
	}
	reads := request.Method == http.MethodGet || request.Method == http.MethodHead
	if reads && i.gateway.Publishes(request.Path) {
		i.publish(ctx, e, request.Path)
		return nil
	}
	if i.cfg.EnforcesAll() {
		if err := refuseAccess(e, request); err != nil || e.kong.Exited() {
			return err
		}
	}
	if answers := i.gateway.Reuse; answers != nil {
		repeat(ctx, e, answers, request, i.questions)
	}
	return nil
}

// publish answers with what the gateway has at path. nginx answers a matching
// If-None-Match with 304 by itself, and a HEAD without the body.
func (i *instance) publish(ctx context.Context, e *event, path string) {
	doc, err := i.gateway.Publish(ctx, path)
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

// refuseAccess refuses what no token endpoint knows, what would get around the
// response phase, and what two readers may understand differently. The response
// phase then needs no header of the request.
func refuseAccess(e *event, r pdk.Request) error {
	switch {
	case namesWebsocket(r.Upgrade):
		answer(e, enrich.Refusal(enrich.BadRequest, 0, errors.New("the request asks for an upgrade to websocket")))
	case r.Method != http.MethodPost && r.Method != http.MethodOptions:
		answer(e, enrich.Refusal(enrich.BadRequest, http.StatusMethodNotAllowed, errors.New("the method is not POST")))
	default:
		return refuseAmbiguous(e, r)
	}
	return nil
}

// refuseAmbiguous refuses what two readers may understand differently. OPTIONS
// follows the same rule, because a provider may answer it like POST. A preflight
// without media type and body (Fetch standard, CORS-preflight fetch) isn't a token
// request.
func refuseAmbiguous(e *event, r pdk.Request) error {
	contentType := r.ContentType
	if r.Method == http.MethodOptions && contentType == "" {
		empty, err := e.kong.BodyIsEmpty()
		if err != nil {
			return err
		}
		if empty {
			contentType = enrich.FormMediaType
		}
	}
	headers := enrich.Headers{
		ContentType: contentType, ContentEncoding: r.ContentEncoding, Authorization: r.Authorization, Cookie: r.Cookie,
	}
	if err := enrich.CheckRequest(r.Query, headers); err != nil {
		answer(e, enrich.Refusal(enrich.AmbiguousRequest, 0, err))
	}
	return nil
}

// namesWebsocket reports whether an Upgrade header offers the websocket protocol
// (RFC 9110, section 7.8) in any of its lines. Kong streams the answer to such a
// request, and the response phase doesn't run. Other protocols change nothing;
// clients offer TLS/1.2 (RFC 2817) or h2c with ordinary requests.
func namesWebsocket(upgrade string) bool {
	for offer := range strings.SplitSeq(upgrade, ",") {
		protocol, _, _ := strings.Cut(offer, "/")
		if strings.EqualFold(strings.TrimSpace(protocol), "websocket") {
			return true
		}
	}
	return false
}
