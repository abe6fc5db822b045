package kongtest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// maxBody bounds the bodies of requests and of buffered answers.
	maxBody = 32 << 20
	// bodyBuffer is nginx' client_body_buffer_size: a larger request body
	// goes to a file.
	bodyBuffer = 8 << 10
)

// exchange is one request on its way through the gateway. It belongs to one
// goroutine at a time: the client's, and after the answer that of the log
// phase.
type exchange struct {
	gateway *StandIn
	worker  *worker
	route   *route
	plugin  *pluginConfig // nil if none applies
	phase   string        // of the plugin, now
	shared  map[string]*structpb.Value

	// What the client sent.
	r             *http.Request
	requestHeader http.Header // with Host, as nginx sees it
	body          []byte
	bodyFile      string // holds body, once a plugin asked for a large one
	id            string // X-Kong-Request-Id
	serial        int64  // number of the connection in log lines
	clientIP      string
	scheme, host  string
	port          int
	path          string // normalized, without the query

	upstream incoming // what the upstream answered

	// What the client will get.
	status  int
	header  http.Header
	payload []byte
	source  string // as kong.response.get_source names it
	proxied bool   // the upstream was asked

	started  time.Time
	sent     time.Time // when the upstream was asked
	answered time.Time // when the upstream's headers were there
}

func (s *StandIn) newExchange(r *http.Request) *exchange {
	x := &exchange{
		gateway: s, worker: s.nextWorker(), shared: map[string]*structpb.Value{},
		r: r, requestHeader: requestHeader(r), id: newRequestID(), serial: s.serial.Add(1),
		scheme: "http", path: cleanPath(r.URL.EscapedPath()),
		header: http.Header{}, source: "error", started: time.Now(),
	}
	if r.TLS != nil {
		x.scheme = "https"
	}
	x.host = strings.ToLower(hostOnly(r.Host))
	x.clientIP = hostOnly(r.RemoteAddr)
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, port, _ := net.SplitHostPort(local.String())
		x.port, _ = strconv.Atoi(port)
	}
	return x
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// requestHeader returns the header with the fields that net/http moves elsewhere.
func requestHeader(r *http.Request) http.Header {
	h := r.Header.Clone()
	h.Set("Host", r.Host)
	for _, coding := range r.TransferEncoding {
		h.Add("Transfer-Encoding", coding)
	}
	return h
}

// readBody reads the whole request body, as nginx does before it asks the
// upstream. It returns the status of an error, otherwise zero.
func (x *exchange) readBody(w http.ResponseWriter) int {
	rc := http.NewResponseController(w)
	rc.SetReadDeadline(time.Now().Add(time.Minute)) // client_body_timeout
	defer rc.SetReadDeadline(time.Time{})
	body, err := io.ReadAll(io.LimitReader(x.r.Body, maxBody+1))
	switch {
	case len(body) > maxBody:
		return http.StatusRequestEntityTooLarge
	case err != nil:
		return http.StatusBadRequest
	}
	x.body = body
	return 0
}

// buffered reports whether Kong buffers the answer, which the response phase
// needs. Kong turns that off for a connection upgrade, and with it the phase.
func (x *exchange) buffered() bool {
	return x.plugin != nil && x.plugin.info.has("response") && !isWebsocket(x.requestHeader)
}

// isWebsocket reports whether Kong treats a request as a websocket's. Only this
// value counts, in any letter case, and nginx joins several headers to one value.
func isWebsocket(h http.Header) bool {
	return strings.EqualFold(strings.Join(h.Values("Upgrade"), ", "), "websocket")
}

// spool writes a large request body to a file, as nginx does.
func (s *StandIn) spool(body []byte) (string, error) {
	dir := filepath.Join(s.prefix, "client_body_temp")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(dir, fmt.Sprintf("%010d", s.spooled.Add(1)))
	return name, os.WriteFile(name, body, 0o600)
}

// newRequestID returns 32 random hexadecimal digits.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
