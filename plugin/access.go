package plugin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/pdk"
)

// access publishes the gateway's keys and metadata, and keeps away what would
// get around the response phase.
func (i *instance) access(e *event) {
	i.handle(e, func(ctx context.Context, e *event, g *gateway.Gateway) error {
		request, err := e.kong.Request()
		if err != nil {
			return err
		}
		read := request.Method == http.MethodGet || request.Method == http.MethodHead
		switch {
		case read && g.Publishes(request.Path):
			publish(ctx, e, g, request.Path)
		case !i.cfg.EnforcesAll():
		default:
			return refuseAccess(e, request)
		}
		return nil
	})
}

// refuseAccess refuses what no token endpoint knows, what would get around the
// response phase, and what two readers may take for different requests: the
// response phase then needs no header of the request to know what it was.
func refuseAccess(e *event, r pdk.Request) error {
	switch {
	case r.Headers.Lines >= pdk.MaxHeaders:
		answer(e, enrich.Refusal(enrich.BadRequest, 0, errors.New("too many headers")))
	case namesWebsocket(r.Headers.Upgrade):
		answer(e, enrich.Refusal(enrich.BadRequest, 0, errors.New("the request asks for an upgrade to websocket")))
	case r.Method != http.MethodPost && r.Method != http.MethodOptions:
		answer(e, enrich.Refusal(enrich.BadRequest, http.StatusMethodNotAllowed, errors.New("the method is not POST")))
	default:
		return refuseAmbiguous(e, r)
	}
	return nil
}

// refuseAmbiguous refuses what two readers may take differently. A provider may
// answer OPTIONS as it answers POST, so the same rule holds for it; a preflight
// without media type and body (Fetch standard, CORS-preflight fetch) is no token
// request.
func refuseAmbiguous(e *event, r pdk.Request) error {
	contentType := r.Headers.ContentType
	if r.Method == http.MethodOptions && len(contentType) == 0 {
		empty, err := e.kong.BodyIsEmpty()
		if err != nil {
			return err
		}
		if empty {
			contentType = []string{enrich.FormMediaType}
		}
	}
	headers := enrich.Headers{
		ContentType: contentType, ContentEncoding: r.Headers.ContentEncoding,
		Authorization: r.Headers.Authorization, Cookie: r.Headers.Cookie,
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
