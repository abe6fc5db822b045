package enrich

// Exchange is one token request and the provider's answer to it. Its byte slices
// must not be modified afterwards.
type Exchange struct {
	Request  Request
	Response Response

	// IP is the client's, as Kong knows it. Empty if nobody asked for it.
	IP string

	// Partial says that the details are missing: all fields except the request's
	// body, the response's status and body, HeadersError, and IP. CheckRequest must
	// have accepted the request. See NeedsDetails.
	Partial bool

	plain     tokenRequest // the request of a partial exchange, read by NeedsDetails
	plainRead bool         // plain is all that the request says
}

// Request is what the client sent. Its texts may be invalid UTF-8. Several lines
// of a header are joined by commas.
type Request struct {
	Method          string
	Query           string // raw
	ContentType     string
	ContentEncoding string
	Authorization   string
	Cookie          string
	Body            []byte
	BodyError       error // why Body couldn't be read, if it couldn't
}

// Response is what the provider answered.
type Response struct {
	Status          int
	ContentEncoding string
	Body            []byte
	HeadersError    error // why a cache could keep the answer despite no-store, if one could
}

// succeeded reports whether the status is one of success (RFC 9110, section 15.3).
func (r Response) succeeded() bool { return r.Status >= 200 && r.Status < 300 }

// NeedsDetails reports whether Enrich needs the details that a partial exchange
// lacks. Most exchanges are decided without. Call it first, or Enrich refuses a
// partial exchange that has a token. It reads nothing but x.
func (x *Exchange) NeedsDetails() bool {
	if !x.Partial || !x.Response.succeeded() {
		return false
	}
	if !isPlain(x.Response.Body) {
		return true
	}
	x.plain, x.plainRead = readPlainForm(x.Request)
	return !x.plainRead
}
