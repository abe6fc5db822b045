package enrich

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const m2mGrant = "client_credentials"

// tokenRequest is a request that is clearly a client_credentials grant.
type tokenRequest struct {
	clients    []client
	clientsErr error // why a client that it names can't be read
	body       parameters
}

// readRequest ends the exchange unless the request is clearly a
// client_credentials grant. Providers read what RFC 6749 forbids in different
// ways. If the plugin accepted it, a raw M2M token could pass as that of another
// grant, or another grant's token could be enriched.
func readRequest(x *Exchange) (tokenRequest, error) {
	if x.Partial && x.plainRead {
		return x.plain, nil
	}
	r := x.Request
	query, queryErr := readQuery(r.Query)
	body, err := readParameters(r)
	if err := cmp.Or(queryErr, checkAuthorization(r.Authorization), checkCookie(r.Cookie), err); err != nil {
		return tokenRequest{}, &verdict{AmbiguousRequest, err}
	}
	switch grant, err := body.grant(); {
	case err != nil:
		return tokenRequest{}, &verdict{AmbiguousRequest, err}
	case grant != m2mGrant:
		return tokenRequest{}, &verdict{outcome: NotM2M}
	}
	return newTokenRequest(r.Authorization, query, body), nil
}

// readParameters reads the request's body as what it is, a form or JSON. JSON must
// be labelled as JSON. A form needn't be labelled as a form, because a reader of
// JSON finds nothing in it.
func readParameters(r Request) (parameters, error) {
	if r.BodyError != nil {
		return nil, r.BodyError
	}
	kind, onlyASCII, err := media(r.ContentType, r.ContentEncoding)
	switch {
	case err != nil:
		return nil, err
	case kind == FormMediaType && isJSON(r.Body):
		return nil, errors.New("the body is JSON, but labelled as a form")
	}
	body, err := readBody(r.Body)
	if err == nil && onlyASCII && !isASCII(r.Body, body) {
		return nil, errors.New("the body has characters beyond ASCII, in a charset other than UTF-8; send UTF-8")
	}
	return body, err
}

// Headers are the headers of a request that CheckRequest looks at. Several lines of
// one are joined by commas or, for cookies, by semicolons.
type Headers struct{ ContentType, ContentEncoding, Authorization, Cookie string }

// CheckRequest returns why two readers may understand a request differently. It
// looks at what is known before the body: the raw query and the headers.
func CheckRequest(query string, h Headers) error {
	_, queryErr := readQuery(query)
	_, _, mediaErr := media(h.ContentType, h.ContentEncoding)
	return cmp.Or(queryErr, checkAuthorization(h.Authorization), checkCookie(h.Cookie), mediaErr)
}

// oneScheme matches a header with one scheme and parameters (RFC 9110, section
// 11.4), without a space before =.
var oneScheme = func() *regexp.Regexp {
	const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
	return regexp.MustCompile(`^` + token + ` +` + token + `=[^,]*(,[ \t]*` + token + `=[^,]*)*$`)
}()

// checkAuthorization refuses a header that may be several. A comma joins its lines,
// and otherwise only stands between the parameters of one scheme.
func checkAuthorization(authorization string) error {
	if strings.Contains(authorization, ",") && !oneScheme.MatchString(authorization) {
		return errors.New("an Authorization header that may be taken for several")
	}
	return nil
}

// readQuery refuses a query with a grant in it, because some readers merge the
// query with the body.
func readQuery(query string) (parameters, error) {
	parameters, err := readForm(query)
	if err != nil {
		return nil, fmt.Errorf("the query: %w", err)
	}
	for range parameters.all("grant_type") {
		return nil, errors.New("grant_type in the query")
	}
	return parameters, nil
}

// checkCookie refuses a Cookie header (RFC 6265, section 4.2) in which a reader
// may find a deciding parameter. PHP's $_REQUEST has the cookies, too.
func checkCookie(cookie string) error {
	if hidesName(";"+cookie, ";,") {
		return errors.New("a cookie that may be taken for a parameter")
	}
	return nil
}

// readPlainForm reads a request from its body alone, as nearly all can be: the
// body is clearly a client_credentials grant and has the client's credentials. No
// header is needed to know the client or the charset.
func readPlainForm(r Request) (request tokenRequest, ok bool) {
	if r.BodyError != nil {
		return tokenRequest{}, false
	}
	body, err := readForm(string(r.Body))
	if err != nil || !body.ascii() {
		return tokenRequest{}, false
	}
	if grant, err := body.grant(); err != nil || grant != m2mGrant || !body.hasCredentials() {
		return tokenRequest{}, false
	}
	return newTokenRequest("", nil, body), true
}

// clearGrant matches the grant types that all readers understand alike: names
// (RFC 6749, appendix A.10) and plain URIs.
var clearGrant = regexp.MustCompile(`^[A-Za-z0-9._:/-]+$`)

// grant returns the one grant type of a request.
func (p parameters) grant() (string, error) {
	grant, n := "", 0
	for one := range p.all("grant_type") {
		grant = one
		n++
	}
	switch {
	case n != 1:
		return "", fmt.Errorf("%d grant types, not one", n)
	case grant == m2mGrant:
		return grant, nil
	case !clearGrant.MatchString(grant):
		return "", errors.New("a grant type that may be taken for several")
	case letters(grant) == letters(m2mGrant):
		return "", fmt.Errorf("a grant type that may be taken for %s", m2mGrant)
	}
	return grant, nil
}

// newTokenRequest returns the request with the clients that it names. If the body
// has the client's credentials, nothing else counts: the token must be for that
// client, whichever the provider took.
func newTokenRequest(authorization string, query, body parameters) (r tokenRequest) {
	r.body = body
	if body.hasCredentials() {
		authorization, query = "", nil
	}
	r.clients, r.clientsErr = namedClients(authorization, query, body)
	return r
}
