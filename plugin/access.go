package plugin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
)

// access publishes the gateway's keys and metadata, and keeps away what would
// get around the response phase.
func (i *instance) access(k *kong) {
	i.handle(k, func(ctx context.Context, k *kong, g *gateway.Gateway) error {
		request, err := k.accessRequest()
		if err != nil {
			return err
		}
		read := request.method == http.MethodGet || request.method == http.MethodHead
		switch {
		case read && g.Publishes(request.path):
			publish(ctx, k, g, request.path)
		case !i.cfg.EnforcesAll():
		default:
			return refuseAccess(k, request)
		}
		return nil
	})
}

// refuseAccess refuses what no token endpoint knows, what would get around the
// response phase, and what two readers may take for different requests: the
// response phase then needs no header of the request to know what it was.
func refuseAccess(k *kong, r accessRequest) error {
	switch {
	case r.headers.count >= maxHeaders:
		answer(k, enrich.Refusal(enrich.BadRequest, 0, errors.New("too many headers")))
	case namesWebsocket(r.headers.upgrade):
		answer(k, enrich.Refusal(enrich.BadRequest, 0, errors.New("the request asks for an upgrade to websocket")))
	case r.method != http.MethodPost && r.method != http.MethodOptions:
		answer(k, enrich.Refusal(enrich.BadRequest, http.StatusMethodNotAllowed, errors.New("the method is not POST")))
	default:
		return refuseAmbiguous(k, r)
	}
	return nil
}

// refuseAmbiguous refuses what two readers may take differently. A provider may
// answer OPTIONS as it answers POST, so the same rule holds for it; a preflight
// without media type and body (Fetch standard, CORS-preflight fetch) is no token
// request.
func refuseAmbiguous(k *kong, r accessRequest) error {
	contentType := r.headers.contentType
	if r.method == http.MethodOptions && len(contentType) == 0 {
		empty, err := k.bodyIsEmpty()
		if err != nil {
			return err
		}
		if empty {
			contentType = []string{enrich.FormMediaType}
		}
	}
	headers := enrich.Headers{ContentType: contentType, ContentEncoding: r.headers.contentEncoding, Authorization: r.headers.authorization, Cookie: r.headers.cookie}
	if err := enrich.CheckRequest(r.query, headers); err != nil {
		answer(k, enrich.Refusal(enrich.AmbiguousRequest, 0, err))
	}
	return nil
}

// namesWebsocket reports whether an Upgrade header offers the websocket protocol
// (RFC 9110, section 7.8) in any of its lines. Kong streams the answer to such a
// request, and the response phase doesn't run. Other protocols change nothing;
// clients offer TLS/1.2 (RFC 2817) or h2c with ordinary requests.
func namesWebsocket(lines []string) bool {
	for _, line := range lines {
		for offer := range strings.SplitSeq(line, ",") {
			protocol, _, _ := strings.Cut(offer, "/")
			if strings.EqualFold(strings.TrimSpace(protocol), "websocket") {
				return true
			}
		}
	}
	return false
}
