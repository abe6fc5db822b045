package plugin

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/visible"
)

// maxRequestSize is the number of bytes that a token request's body may have.
// Kong itself sets no limit by default.
const maxRequestSize = 64 << 10

// kong is what a handler asks of Kong during one event. All PDK calls are
// here. A kong must not be used by several goroutines, nor after exit.
type kong struct {
	wire         *wire
	exited       bool
	answered     bool     // by the upstream: this is the response phase
	cacheHeaders []string // its headers by which a cache could keep the answer; nil before they are asked for

	observation *observation
	lines       *lines // nil: every line is written
}

// accessRequest is what the access phase decides by.
type accessRequest struct {
	method, path, query string
	headers             headers
}

// maxHeaders is how many headers Kong gives at most. A client that sends more
// hides some.
const maxHeaders = 1000

func (k *kong) accessRequest() (r accessRequest, err error) {
	k.wire.ask("kong.nginx.get_var", stringMessage("request"))
	k.wire.ask("kong.request.get_headers", intMessage(maxHeaders))
	line, err := k.bytes("the request line")
	if err != nil {
		return r, err
	}
	if r.headers, err = k.headers("the request's headers"); err != nil {
		return r, err
	}
	r.method, r.path, r.query = splitRequestLine(string(line))
	if !normal(r.path) {
		err = k.texts(question{&r.path, "the path", "kong.request.get_path", ""})
	}
	return r, err
}

// bodyIsEmpty reports whether the request has no body.
func (k *kong) bodyIsEmpty() (bool, error) {
	k.wire.ask("kong.request.get_raw_body", nothing)
	body, unreadable, err := k.requestBody()
	return len(body) == 0 && unreadable == nil, err
}

// splitRequestLine splits a request line (RFC 9112, section 3): a method, a
// target, which can be a whole URL, and a version.
func splitRequestLine(line string) (method, path, query string) {
	method, target, _ := strings.Cut(line, " ")
	if i := strings.LastIndexByte(target, ' '); i >= 0 {
		target = target[:i]
	}
	path, query, _ = strings.Cut(target, "?")
	return method, path, query
}

// normal tells whether a path is one that Kong leaves as it is.
func normal(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.Contains(path, "//") && !strings.Contains(path, "/.") && !strings.Contains(path, "%")
}

// exchange reads what nearly every exchange is decided by.
func (k *kong) exchange() (x enrich.Exchange, err error) {
	k.wire.ask("kong.service.response.get_status", nothing)
	k.wire.ask("kong.service.response.get_raw_body", nothing)
	k.wire.ask("kong.request.get_raw_body", nothing)
	k.askHeaders()
	if k.observation.traced() {
		k.wire.ask("kong.nginx.get_var", stringMessage("http_traceparent"))
	}
	status, err := k.number("the upstream's status")
	if err != nil {
		return x, err
	}
	x.Response.Status = int(status)
	if x.Response.Body, err = k.bytes("the upstream's body"); err != nil {
		return x, err
	}
	if x.Request.Body, x.Request.BodyError, err = k.requestBody(); err != nil {
		return x, err
	}
	if x.Response.HeadersError, err = k.readCacheHeaders(); err != nil {
		return x, err
	}
	if k.observation.traced() {
		if k.observation.traceparent, err = k.bytes("the traceparent header"); err != nil {
			return x, err
		}
	}
	x.Partial = true
	return x, nil
}

// rest asks for the rest of a partial exchange.
func (k *kong) rest(x *enrich.Exchange) error {
	x.Partial = false
	return k.texts(
		question{&x.Response.ContentEncoding, "the upstream's Content-Encoding", "kong.service.response.get_header", "content-encoding"},
		question{&x.Request.Method, "the method", "kong.request.get_method", ""},
		question{&x.Request.Query, "the query", "kong.request.get_raw_query", ""},
		question{&x.Request.ContentType, "the Content-Type header", "kong.nginx.get_var", "http_content_type"},
		question{&x.Request.ContentEncoding, "the Content-Encoding header", "kong.nginx.get_var", "http_content_encoding"},
		question{&x.Request.Authorization, "the Authorization header", "kong.nginx.get_var", "http_authorization"},
		question{&x.Request.Cookie, "the Cookie header", "kong.nginx.get_var", "http_cookie"},
	)
}

// question asks Kong for one text. The headers of the request come from nginx'
// variables: those join all lines of a name with commas, where the PDK's own
// getter gives the first and hides the others.
type question struct {
	to           *string
	what         string
	method, name string
}

// texts asks questions together. The answers are read as bytes: a client may
// send any.
func (k *kong) texts(questions ...question) error {
	for _, q := range questions {
		k.wire.ask(q.method, stringMessage(q.name))
	}
	for _, q := range questions {
		text, err := k.bytes(q.what)
		if err != nil {
			return err
		}
		*q.to = string(text)
	}
	return nil
}

// reply hands the next reply to read, which says whether it is one to this
// question.
func (k *kong) reply(what string, read func(message []byte) error) error {
	if err := k.wire.reply(read); err != nil {
		return fmt.Errorf("ask Kong for %s: %w", what, err)
	}
	return nil
}

// bytes reads the reply that is a String or a ByteString.
func (k *kong) bytes(what string) (text []byte, err error) {
	err = k.reply(what, func(message []byte) (err error) {
		text, err = field(message, 1)
		return err
	})
	return text, err
}

// headers reads the reply that is a Struct of headers.
func (k *kong) headers(what string) (h headers, err error) {
	err = k.reply(what, func(message []byte) (err error) {
		h, err = readHeaders(message)
		return err
	})
	return h, err
}

// number reads the reply that is an Int.
func (k *kong) number(what string) (n uint64, err error) {
	err = k.reply(what, func(message []byte) (err error) {
		n, err = varint(message, 1)
		return err
	})
	return n, err
}

// requestBody reads the reply that is a RawBodyResult: the request's body, or
// why it can't be read.
func (k *kong) requestBody() (body []byte, unreadable, err error) {
	var path, failure []byte
	err = k.reply("the request's body", func(message []byte) error {
		var contentErr, pathErr, failureErr error
		body, contentErr = field(message, 1)
		path, pathErr = field(message, 2)
		failure, failureErr = field(message, 3)
		return errors.Join(contentErr, pathErr, failureErr)
	})
	switch {
	case err != nil:
		return nil, nil, err
	case path != nil: // nginx wrote it to a file
		body, unreadable = readFile(string(path))
	case failure != nil:
		unreadable = errors.New("the gateway can't read the body")
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
// connection.
func (k *kong) exit(status int, body []byte, headers headerFields) {
	k.wire.tell("kong.response.exit", exitMessage(status, body, headers))
	k.exited = true
}

// setHeader sets a header of the upstream's answer, which stays otherwise.
func (k *kong) setHeader(name, value string) {
	k.wire.tell("kong.response.set_header", pairMessage(name, value))
}

// share puts a text where the plugins that run later find it.
func (k *kong) share(name, value string) {
	k.wire.tell("kong.ctx.shared.set", pairMessage(name, value))
}

// requestID returns Kong's id of the request, "" if it can't be had. It is the
// one that the client sees as X-Kong-Request-Id.
func (k *kong) requestID() (id string) {
	_ = k.texts(question{&id, "the request's id", "kong.nginx.get_var", "kong_request_id"})
	return id
}

// notice, warn and fail write one line to Kong's log, at levels that its default
// shows.
func (k *kong) notice(line string) { k.log("notice", line) }
func (k *kong) warn(line string)   { k.log("warn", line) }
func (k *kong) fail(line string)   { k.log("err", line) }

func (k *kong) log(level, line string) {
	k.wire.tell("kong.log."+level, listMessage(visible.Line(line)))
}

func sortedNames(headers map[string][]string) []string { return slices.Sorted(maps.Keys(headers)) }
