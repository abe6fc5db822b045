package kongtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kongVersion is the version that was recorded.
const kongVersion = "kong/3.9.3"

// incoming is the upstream's answer, as far as plugins see it.
type incoming struct {
	status int
	proto  string // "1.1"
	header http.Header
	body   []byte
}

// hopByHop headers concern one connection only (RFC 9110, section 7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

func withoutHopByHop(h http.Header) http.Header {
	h = h.Clone()
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
	return h
}

// upstreamHeader is the header that the upstream is sent.
func (x *exchange) upstreamHeader() http.Header {
	h := withoutHopByHop(x.requestHeader)
	h.Set("Host", x.route.service.url.Host)
	h.Set("Connection", "keep-alive")
	if isWebsocket(x.requestHeader) {
		h.Set("Connection", "keep-alive, Upgrade")
		h.Set("Upgrade", x.requestHeader.Get("Upgrade"))
	}
	h.Set("Via", appendTo(h.Get("Via"), viaProtocol(x.r)+" "+kongVersion))
	h.Set("X-Real-Ip", x.clientIP)
	h.Set("X-Forwarded-For", appendTo(strings.Join(h["X-Forwarded-For"], ", "), x.clientIP))
	h.Set("X-Forwarded-Proto", x.scheme)
	h.Set("X-Forwarded-Host", x.host)
	h.Set("X-Forwarded-Port", strconv.Itoa(x.port))
	h.Set("X-Forwarded-Path", x.r.URL.RequestURI())
	h.Del("X-Forwarded-Prefix")
	h.Set("X-Kong-Request-Id", x.id)
	return h
}

func appendTo(list, element string) string {
	if list == "" {
		return element
	}
	return list + ", " + element
}

// viaProtocol is the protocol version as Via writes it.
func viaProtocol(r *http.Request) string {
	if r.ProtoMajor == 2 {
		return "2"
	}
	return fmt.Sprintf("%d.%d", r.ProtoMajor, r.ProtoMinor)
}

// subrequestMethods are those that a buffered request keeps: Kong fetches the
// upstream's answer by a subrequest, which turns any other into GET.
var subrequestMethods = []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE",
	"PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE"}

// upstreamMethod is the method that the upstream sees.
func (x *exchange) upstreamMethod() string {
	if x.buffered() && !slices.Contains(subrequestMethods, x.r.Method) {
		return http.MethodGet
	}
	return x.r.Method
}

// fetch asks the upstream and takes in the whole answer, for as long as the
// service's read timeout. It reports whether there is an answer that the
// response phase can see; otherwise the client's error is set.
func (x *exchange) fetch(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, x.route.service.readTimeout)
	defer cancel()
	x.proxied, x.sent = true, time.Now()
	res, err := x.roundTrip(ctx)
	x.answered = time.Now()
	if err != nil {
		x.logf("error", "upstream %s: %v", x.route.service.url.Host, err)
		x.upstream = incoming{status: http.StatusBadGateway, proto: "1.1", header: http.Header{}}
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			x.upstream.status = http.StatusGatewayTimeout
		}
		x.failWith(x.upstream.status)
		return false
	}
	defer res.Body.Close()
	x.upstream = incoming{
		status: res.StatusCode, proto: fmt.Sprintf("%d.%d", res.ProtoMajor, res.ProtoMinor), header: withoutHopByHop(res.Header),
	}
	return x.takeIn(res)
}

func (x *exchange) takeIn(res *http.Response) bool {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		x.logf("error", "upstream %s: answer cut off after %d bytes: %v", x.route.service.url.Host, len(body), err)
		x.failWith(res.StatusCode)
		return false
	}
	x.upstream.body = body
	x.source, x.status, x.payload = "service", res.StatusCode, body
	maps.Copy(x.header, x.upstream.header)
	return true
}

func (x *exchange) roundTrip(ctx context.Context) (*http.Response, error) {
	u := *x.route.service.url
	target, err := u.Parse(x.path)
	if err != nil {
		return nil, err
	}
	target.RawQuery = x.r.URL.RawQuery
	req, err := http.NewRequestWithContext(ctx, x.upstreamMethod(), target.String(), bytes.NewReader(x.body))
	if err != nil {
		return nil, err
	}
	req.Header = x.upstreamHeader()
	req.Host = req.Header.Get("Host")
	if req.Header.Get("User-Agent") == "" {
		req.Header["User-Agent"] = []string{""} // or net/http adds its own
	}
	return x.route.service.transport.RoundTrip(req)
}
