package kongtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kongVersion is the version that was recorded.
const kongVersion = "kong/3.9.3"

// outgoing is the request to the upstream. Plugins change it in access.
type outgoing struct {
	scheme, target string // target is host:port
	method         string
	path, query    string
	header         http.Header
	body           []byte
}

// incoming is the upstream's answer, as far as plugins see it.
type incoming struct {
	status int
	proto  string // "1.1"
	header http.Header
	body   []byte // of a buffered answer
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

// prepare fills in what the upstream will be sent if no plugin changes it.
func (x *exchange) prepare(matched string) {
	svc := x.route.service
	h := withoutHopByHop(x.requestHeader)
	h.Set("Host", svc.address())
	if x.route.PreserveHost {
		h.Set("Host", x.r.Host)
	}
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
	if x.route.strip && matched != "" && matched != "/" {
		h.Set("X-Forwarded-Prefix", matched)
	}
	h.Set("X-Kong-Request-Id", x.id)
	x.out = outgoing{
		scheme: svc.Protocol, target: net.JoinHostPort(svc.Host, strconv.Itoa(svc.Port)), method: x.r.Method,
		path: x.route.upstreamPath(x.path, matched), query: x.r.URL.RawQuery, header: h, body: x.body,
	}
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

// ask sends the request to the upstream and returns its answer, whose body
// fails if nothing arrives for as long as the service's read timeout. The
// caller closes it. If there is none, the client's error is set.
func (x *exchange) ask(ctx context.Context, method string) *http.Response {
	x.proxied, x.sent = true, time.Now()
	ctx, cancel := context.WithCancel(ctx)
	res, err := x.roundTrip(ctx, method)
	x.answered = time.Now()
	if err != nil {
		cancel()
		x.logf("error", "upstream %s: %v", x.out.target, err)
		status := http.StatusBadGateway
		if isTimeout(err) {
			status = http.StatusGatewayTimeout
		}
		x.upstream = incoming{status: status, proto: "1.1", header: http.Header{}}
		x.failWith(status)
		return nil
	}
	x.upstream = incoming{
		status: res.StatusCode, proto: fmt.Sprintf("%d.%d", res.ProtoMajor, res.ProtoMinor), header: withoutHopByHop(res.Header),
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		res.Body = newStallReader(res.Body, milliseconds(x.route.service.ReadTimeout), cancel)
	} else {
		context.AfterFunc(x.gateway.ctx, cancel)
	}
	return res
}

func (x *exchange) roundTrip(ctx context.Context, method string) (*http.Response, error) {
	u, err := url.Parse(x.out.scheme + "://" + x.out.target + x.out.path)
	if err != nil {
		return nil, err
	}
	u.RawQuery = x.out.query
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(x.out.body))
	if err != nil {
		return nil, err
	}
	req.Header, req.Host = x.out.header.Clone(), x.out.header.Get("Host")
	if req.Header.Get("User-Agent") == "" {
		req.Header["User-Agent"] = []string{""} // or net/http adds its own
	}
	return x.route.service.transport.RoundTrip(req)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// fetch asks the upstream and takes in the whole answer. It reports whether
// there is one that the response phase can see.
func (x *exchange) fetch(ctx context.Context) bool {
	method := x.out.method
	if !slices.Contains(subrequestMethods, method) {
		method = http.MethodGet
	}
	res := x.ask(ctx, method)
	if res == nil {
		return false
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		x.logf("error", "upstream %s: answer cut off after %d bytes: %v", x.out.target, len(body), err)
		x.failWith(res.StatusCode)
		return false
	}
	x.upstream.body = body
	x.source, x.status, x.payload = "service", res.StatusCode, body
	for name, values := range x.upstream.header {
		x.header[name] = values
	}
	return true
}

// stallReader gives up when a read takes longer than a limit.
type stallReader struct {
	io.ReadCloser
	timer  *time.Timer
	limit  time.Duration
	cancel context.CancelFunc
}

func newStallReader(r io.ReadCloser, limit time.Duration, cancel context.CancelFunc) *stallReader {
	return &stallReader{ReadCloser: r, timer: time.AfterFunc(limit, cancel), limit: limit, cancel: cancel}
}

func (s *stallReader) Read(p []byte) (int, error) {
	s.timer.Reset(s.limit)
	return s.ReadCloser.Read(p)
}

func (s *stallReader) Close() error {
	s.timer.Stop()
	err := s.ReadCloser.Close()
	s.cancel()
	return err
}
