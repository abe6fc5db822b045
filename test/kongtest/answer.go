package kongtest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// messages are the texts of Kong's own answers, by status.
var messages = map[int]string{
	http.StatusBadRequest:            "Bad request",
	http.StatusNotFound:              "Not found",
	http.StatusRequestTimeout:        "Request timeout",
	http.StatusRequestEntityTooLarge: "Payload too large",
	http.StatusInternalServerError:   "An unexpected error occurred",
	http.StatusBadGateway:            "An invalid response was received from the upstream server",
	http.StatusServiceUnavailable:    "The upstream server is currently unavailable",
	http.StatusGatewayTimeout:        "The upstream server is timing out",
}

// failWith answers with Kong's own text for status.
func (x *exchange) failWith(status int) {
	message, ok := messages[status]
	if !ok {
		message = fmt.Sprintf("The upstream server responded with %d", status)
	}
	x.fail(status, message)
}

// fail answers with an error. Headers that are already set stay: after a failed
// response phase, the client sees the upstream's.
func (x *exchange) fail(status int, message string) {
	x.status, x.source = status, "error"
	x.payload = fmt.Appendf(nil, "{\n  \"message\":%q,\n  \"request_id\":%q\n}", message, x.id)
	x.header.Set("Content-Type", "application/json; charset=utf-8")
	x.header.Del("Content-Length")
}

// send writes the answer to the client.
func (x *exchange) send(w http.ResponseWriter) {
	x.ownHeaders()
	if x.notModified() {
		x.status, x.payload = http.StatusNotModified, nil
		for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding"} {
			x.header.Del(name)
		}
	}
	payload := x.payload
	given, err := strconv.Atoi(x.header.Get("Content-Length"))
	switch {
	case err == nil && given >= 0: // the upstream's, or one that the plugin insists on
		payload = payload[:min(len(payload), given)]
	case x.r.Method != http.MethodHead || x.source != "service":
		x.header.Set("Content-Length", strconv.Itoa(len(payload)))
	}
	h := w.Header()
	maps.Copy(h, x.header)
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // or net/http guesses one
	}
	w.WriteHeader(x.status)
	w.Write(payload)
}

// ownHeaders adds the headers of Kong itself.
func (x *exchange) ownHeaders() {
	h := x.header
	if x.r.ProtoMajor == 1 && h.Get("Connection") == "" {
		h.Set("Connection", "keep-alive")
	}
	h.Set("X-Kong-Request-Id", x.id)
	if h.Get("Server") == "" { // the upstream's stays
		h.Set("Server", kongVersion)
	}
	if !x.proxied {
		h.Set("X-Kong-Response-Latency", latency(x.started, time.Now()))
		return
	}
	h.Set("Via", appendTo(strings.Join(h["Via"], ", "), x.upstream.proto+" "+kongVersion))
	h.Set("X-Kong-Upstream-Latency", latency(x.sent, x.answered))
	h.Set("X-Kong-Proxy-Latency", latency(x.started, x.sent))
}

func latency(from, to time.Time) string { return strconv.FormatInt(to.Sub(from).Milliseconds(), 10) }

// notModified is nginx' filter of that name: it applies to every answer that
// Kong composes itself, even if a plugin decided on status 200. An answer that
// Kong doesn't buffer is the upstream's.
func (x *exchange) notModified() bool {
	if x.proxied && !x.buffered() {
		return false
	}
	since, etags := x.requestHeader.Get("If-Modified-Since"), x.requestHeader.Get("If-None-Match")
	if x.status != http.StatusOK || since == "" && etags == "" {
		return false
	}
	if since != "" && since != x.header.Get("Last-Modified") { // if_modified_since is exact by default
		return false
	}
	return etags == "" || matchesETag(etags, x.header.Get("Etag"))
}

// matchesETag is a weak comparison (RFC 9110, section 8.8.3.2). As in nginx, *
// matches even an answer without an entity tag.
func matchesETag(list, etag string) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	etag = strings.TrimPrefix(etag, "W/")
	return etag != "" && slices.ContainsFunc(strings.Split(list, ","), func(candidate string) bool {
		return strings.TrimPrefix(strings.TrimSpace(candidate), "W/") == etag
	})
}
