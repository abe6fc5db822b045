package plugin

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/bridge"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"m2m-token-enricher/plugin/enrich"
)

// maxRequestSize is the number of bytes that a token request's body may have.
// Kong itself sets no limit by default.
const maxRequestSize = 64 << 10

// kong is what a handler asks of Kong during one event. All PDK calls are
// here. A kong must not be used by several goroutines, nor after exit.
type kong struct{ pdk *pdk.PDK }

// accessRequest is what the access phase decides by.
type accessRequest struct{ method, path, upgrade string }

func (k kong) accessRequest() (r accessRequest, err error) {
	err = k.texts([]question{
		{&r.upgrade, "the Upgrade header", "kong.nginx.get_var", "http_upgrade"},
		{&r.method, "the method", "kong.request.get_method", ""},
		{&r.path, "the path", "kong.request.get_path", ""},
	})
	return r, err
}

// exchange reads the exchange; of one whose status says that no token was
// issued it reads no more than the status.
func (k kong) exchange() (x enrich.Exchange, err error) {
	if x.Response.Status, err = k.pdk.ServiceResponse.GetStatus(); err != nil {
		return x, fmt.Errorf("ask Kong for the upstream's status: %w", err)
	}
	if x.Response.Status < 200 || x.Response.Status >= 300 {
		return x, nil
	}
	if x.Response.Body, err = k.pdk.ServiceResponse.GetRawBody(); err != nil {
		return x, fmt.Errorf("ask Kong for the upstream's body: %w", err)
	}
	err = k.texts([]question{
		{&x.Response.ContentEncoding, "the upstream's Content-Encoding", "kong.service.response.get_header", "content-encoding"},
		{&x.Request.Method, "the method", "kong.request.get_method", ""},
		{&x.Request.Query, "the query", "kong.request.get_raw_query", ""},
		{&x.Request.ContentType, "the Content-Type header", "kong.nginx.get_var", "http_content_type"},
		{&x.Request.ContentEncoding, "the Content-Encoding header", "kong.nginx.get_var", "http_content_encoding"},
		{&x.Request.Authorization, "the Authorization header", "kong.nginx.get_var", "http_authorization"},
		{&x.ClientIP, "the client's address", "kong.client.get_forwarded_ip", ""},
	})
	if err != nil {
		return x, err
	}
	x.Request.Body, x.Request.BodyError, err = k.requestBody()
	return x, err
}

// question asks Kong for one text. The headers of the request come from nginx'
// variables: those join all lines of a name with commas, where the PDK's own
// getter gives the first and hides the others.
type question struct {
	to           *string
	what         string
	method, name string
}

// texts asks questions. The answers are read as bytes: a client may send any,
// and the PDK's own getters fail on what isn't UTF-8.
func (k kong) texts(questions []question) error {
	for _, q := range questions {
		var name proto.Message
		if q.name != "" {
			name = bridge.WrapString(q.name)
		}
		var answer kong_plugin_protocol.ByteString // on the wire the same as a String
		if err := k.pdk.Request.Ask(q.method, name, &answer); err != nil {
			return fmt.Errorf("ask Kong for %s: %w", q.what, err)
		}
		*q.to = string(answer.V)
	}
	return nil
}

// requestBody returns the request's body, or why it can't be read. It doesn't
// use the PDK's own getter, which reads a body of any size into memory.
func (k kong) requestBody() (body []byte, unreadable, err error) {
	var answer kong_plugin_protocol.RawBodyResult
	if err := k.pdk.Request.Ask("kong.request.get_raw_body", nil, &answer); err != nil {
		return nil, nil, fmt.Errorf("ask Kong for the request's body: %w", err)
	}
	switch kind := answer.Kind.(type) {
	case *kong_plugin_protocol.RawBodyResult_BodyFilepath: // nginx wrote it to a file
		body, unreadable = readFile(kind.BodyFilepath)
	case *kong_plugin_protocol.RawBodyResult_Error:
		unreadable = errors.New("the gateway can't read the body")
	default:
		body = answer.GetContent()
	}
	if len(body) > maxRequestSize {
		return nil, fmt.Errorf("the body has more than %d bytes", maxRequestSize), nil
	}
	return body, unreadable, nil
}

// readFile reads at most one byte more than a body may have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the body that Kong wrote to a file: %w", err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxRequestSize+1))
	if err != nil {
		return nil, fmt.Errorf("the body that Kong wrote to a file: %w", err)
	}
	return body, nil
}

// exit answers the client and ends the event; Kong then closes the
// connection. An empty list deletes a header of the upstream's.
func (k kong) exit(status int, body []byte, headers map[string][]string) {
	k.pdk.Response.Exit(status, body, headers)
}

// setHeader sets a header of the upstream's answer, which stays otherwise.
func (k kong) setHeader(name, value string) error {
	return k.pdk.Response.SetHeader(name, value)
}

// requestID returns Kong's id of the request, "" if it can't be had. It is the
// one that the client sees as X-Kong-Request-Id.
func (k kong) requestID() string {
	id, err := k.pdk.Nginx.GetVar("kong_request_id")
	if err != nil {
		return ""
	}
	return id
}

// warn and fail write to Kong's log, at levels that its default shows. The
// PDK takes strings only; that logging failed can't be told to anyone.
func (k kong) warn(line string) { _ = k.pdk.Log.Warn(line) }
func (k kong) fail(line string) { _ = k.pdk.Log.Err(line) }
