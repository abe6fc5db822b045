package pdk

import (
	"fmt"
	"strings"
)

// MaxHeaders is how many lines of an answer's headers Kong gives at most. An answer
// that has more hides some.
const MaxHeaders = 1000

// Request is what the access phase asks of a request. Its texts need not be UTF-8.
// A header that was sent in several lines is joined by commas, cookies by
// semicolons.
type Request struct {
	Line                string
	Method, Path, Query string // the path as Kong matches it; the query raw

	Upgrade, ContentType, ContentEncoding, Authorization, Cookie string

	Body      []byte // nil if nobody asked for it, or if Kong hasn't it in memory
	Route     string // Kong's id of the route that it took, "" if nobody asked for it
	Variables Values
}

// RequestQuestions are what an access phase asks, ready to be asked any number of
// times. Each question costs Kong more than its answer does, and all headers together
// cost the most. So they are those that decide, and go in one round trip.
type RequestQuestions struct {
	calls     calls
	body      bool
	variables []string
	route     bool
}

// requestVariables are what every access phase asks, in their order.
var requestVariables = [...]string{
	"request", "http_upgrade", "http_content_type", "http_content_encoding", "http_authorization", "http_cookie",
}

// PrepareRequest prepares the questions of [Event.Request]: those of every access
// phase, the request's body if body says so, and further variables of nginx.
func PrepareRequest(body bool, variables ...string) RequestQuestions {
	q := RequestQuestions{calls: calls{}.withVariables(requestVariables[:]...), body: body, variables: variables}
	if body {
		q.calls = q.calls.with("kong.request.get_raw_body", nothing)
	}
	q.calls = q.calls.withVariables(variables...)
	return q
}

// WithRoute returns q and the question for the route that the request takes.
func (q RequestQuestions) WithRoute() RequestQuestions {
	q.calls, q.route = q.calls.with("kong.router.get_route", nothing), true
	return q
}

// Request asks for the request.
func (e *Event) Request(q RequestQuestions) (r Request, err error) {
	e.wire.askAll(q.calls)
	for i, to := range [...]*string{&r.Line, &r.Upgrade, &r.ContentType, &r.ContentEncoding, &r.Authorization, &r.Cookie} {
		text, err := e.variable(requestVariables[i])
		if err != nil {
			return r, err
		}
		*to = string(text)
	}
	if q.body {
		if r.Body, err = e.bodyInMemory(); err != nil {
			return r, err
		}
	}
	if r.Variables, err = e.variables(q.variables); err != nil {
		return r, err
	}
	if q.route {
		id, err := e.bytes("the route") // the first field of a route is its id
		if err != nil {
			return r, err
		}
		r.Route = string(id)
	}
	r.Method, r.Path, r.Query = splitRequestLine(r.Line)
	if !normal(r.Path) {
		err = e.texts(question{&r.Path, "the path", "kong.request.get_path", ""})
	}
	return r, err
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

// normal reports whether a path is one that Kong leaves as it is.
func normal(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.Contains(path, "//") && !strings.Contains(path, "/.") && !strings.Contains(path, "%")
}

// Exchange is what a response phase asks first: the provider's answer, and the
// body of the request.
type Exchange struct {
	Status           int // the upstream's
	Body             []byte
	RequestBody      []byte
	RequestBodyError error // why RequestBody can't be read, nil if it can
	Headers          HeaderNames
	Variables        Values
}

// ExchangeQuestions are what a response phase asks first, ready to be asked any number
// of times.
type ExchangeQuestions struct {
	calls     calls
	variables []string
}

// PrepareExchange prepares the questions of [Event.Exchange], with further variables
// of nginx. These come first, so they are known if the rest can't be read.
func PrepareExchange(variables ...string) ExchangeQuestions {
	c := calls{}.withVariables(variables...).
		with("kong.service.response.get_status", nothing).
		with("kong.service.response.get_raw_body", nothing).
		with("kong.request.get_raw_body", nothing).
		with("kong.response.get_headers", intMessage(MaxHeaders))
	return ExchangeQuestions{c, variables}
}

// Exchange asks for an exchange in one round trip: also for those of the answer's
// headers whose names, in lower case, wanted chooses. With an error comes what was
// read before it.
func (e *Event) Exchange(q ExchangeQuestions, wanted func(name []byte) bool) (x Exchange, err error) {
	e.wire.askAll(q.calls)
	if x.Variables, err = e.variables(q.variables); err != nil {
		return x, err
	}
	status, err := e.number("the upstream's status")
	if err != nil {
		return x, err
	}
	x.Status = int(status)
	if x.Body, err = e.bytes("the upstream's body"); err != nil {
		return x, err
	}
	if x.RequestBody, x.RequestBodyError, err = e.requestBody(); err != nil {
		return x, err
	}
	x.Headers, err = e.headerNames(wanted)
	return x, err
}

// AnswerHeaders asks for the answer's headers alone, as Exchange does. Kong fails
// an event of the access phase that asks this.
func (e *Event) AnswerHeaders(wanted func(name []byte) bool) (HeaderNames, error) {
	e.wire.ask("kong.response.get_headers", intMessage(MaxHeaders))
	return e.headerNames(wanted)
}

// headerNames reads the reply that is a Struct of headers.
func (e *Event) headerNames(wanted func(name []byte) bool) (h HeaderNames, err error) {
	err = e.reply("the answer's headers", func(message []byte) (err error) {
		h, err = readHeaderNames(message, wanted)
		return err
	})
	return h, err
}

// Details are the rest of an exchange, which few decisions need. A header that
// was sent in several lines is joined by commas. The texts need not be UTF-8.
type Details struct {
	ContentEncoding string // of the upstream's answer

	Method, Query                string // of the request; the query raw
	ContentType, RequestEncoding string // its Content-Type and Content-Encoding
	Authorization, Cookie        string
}

// Details asks for the rest of an exchange. The error comes with what was read
// before it.
func (e *Event) Details() (d Details, err error) {
	err = e.texts(
		question{&d.ContentEncoding, "the upstream's Content-Encoding", "kong.service.response.get_header", "content-encoding"},
		question{&d.Method, "the method", "kong.request.get_method", ""},
		question{&d.Query, "the query", "kong.request.get_raw_query", ""},
		question{&d.ContentType, "the Content-Type header", "kong.nginx.get_var", "http_content_type"},
		question{&d.RequestEncoding, "the Content-Encoding header", "kong.nginx.get_var", "http_content_encoding"},
		question{&d.Authorization, "the Authorization header", "kong.nginx.get_var", "http_authorization"},
		question{&d.Cookie, "the Cookie header", "kong.nginx.get_var", "http_cookie"},
	)
	return d, err
}

// RetryAfter asks for the upstream's header of that name, "" if there is none.
func (e *Event) RetryAfter() (value string, err error) {
	err = e.texts(question{&value, "the upstream's Retry-After", "kong.service.response.get_header", "retry-after"})
	return value, err
}

// RequestID asks for Kong's id of the request, which the client sees as
// X-Kong-Request-Id. It is "" if Kong doesn't answer.
func (e *Event) RequestID() (id string) {
	_ = e.texts(question{&id, "the request's id", "kong.nginx.get_var", "kong_request_id"})
	return id
}

// question asks Kong for one text. The headers of the request come from nginx'
// variables. Since nginx 1.23, these join all lines of a name with commas, or those
// of Cookie with semicolons. The PDK's own getter gives the first and hides the
// others.
type question struct {
	to           *string
	what         string
	method, name string
}

// texts asks questions together. The answers are read as bytes: a client may
// send any.
func (e *Event) texts(questions ...question) error {
	for _, q := range questions {
		e.wire.ask(q.method, stringMessage(q.name))
	}
	for _, q := range questions {
		text, err := e.bytes(q.what)
		if err != nil {
			return err
		}
		*q.to = string(text)
	}
	return nil
}

// reply hands the next reply to read, which says whether it is one to this
// question.
func (e *Event) reply(what string, read func(message []byte) error) error {
	if err := e.wire.reply(read); err != nil {
		return fmt.Errorf("ask Kong for %s: %w", what, err)
	}
	return nil
}

// bytes reads the reply that is a String or a ByteString.
func (e *Event) bytes(what string) (text []byte, err error) {
	err = e.reply(what, func(message []byte) (err error) {
		text, err = field(message, 1)
		return err
	})
	return text, err
}

// number reads the reply that is an Int.
func (e *Event) number(what string) (n uint64, err error) {
	err = e.reply(what, func(message []byte) (err error) {
		n, err = varint(message, 1)
		return err
	})
	return n, err
}
