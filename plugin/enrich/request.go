package enrich

import (
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
)

const (
	m2mGrant      = "client_credentials"
	jwtAssertion  = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
	formMediaType = "application/x-www-form-urlencoded"
)

// tokenRequest is a request with one clear grant.
type tokenRequest struct {
	clients  []client
	unnamed  error // why a client that it names can't be told
	audience []string
	scope    []string
}

// client is one way in which a request names its client: any of the texts may
// be meant.
type client []string

func (c client) is(id string) bool { return slices.Contains(c, id) }

// parameters are those of a token request, by name, in any of the encodings
// that providers accept.
type parameters map[string][]string

// readRequest ends the exchange unless the request is clearly a
// client_credentials grant. Providers read what RFC 6749 forbids in different
// ways, so a request that two readers could take differently is refused: else a
// raw M2M token would pass as that of another grant.
func readRequest(r Request) (tokenRequest, error) {
	query, err := readForm(r.Query)
	if err != nil {
		return tokenRequest{}, endWith(AmbiguousRequest, "the query: %w", err)
	}
	for name := range query {
		if letters(name) == "granttype" {
			return tokenRequest{}, endWith(AmbiguousRequest, "grant_type in the query")
		}
	}
	body, err := readParameters(r)
	if err != nil {
		return tokenRequest{}, endWith(AmbiguousRequest, "%w", err)
	}
	grant, err := body.grant()
	if err != nil {
		return tokenRequest{}, endWith(AmbiguousRequest, "%w", err)
	}
	if grant != m2mGrant {
		return tokenRequest{}, &end{outcome: NotM2M}
	}
	clients, unnamed := namedClients(r.Authorization, body)
	return tokenRequest{clients: clients, unnamed: unnamed, audience: words(body["audience"]), scope: words(body["scope"])}, nil
}

func readParameters(r Request) (parameters, error) {
	if r.BodyError != nil {
		return nil, r.BodyError
	}
	if encoding := strings.TrimSpace(r.ContentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, errors.New("the body is encoded, and not every reader decodes it")
	}
	media, params, err := mime.ParseMediaType(r.ContentType)
	if err != nil {
		return nil, errors.New("the body has no valid media type")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return nil, errors.New("the body is not in UTF-8")
	}
	switch media {
	case formMediaType:
		return readForm(string(r.Body))
	case "application/json":
		return readJSON(r.Body)
	}
	return nil, errors.New("the body is neither a form nor JSON")
}

func readForm(text string) (parameters, error) {
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, errors.New("the form can't be decoded")
	}
	for name, values := range form {
		if !utf8.ValidString(name + strings.Join(values, "")) {
			return nil, errors.New("the form is not in UTF-8")
		}
	}
	return parameters(form), nil
}

// readJSON reads a JSON body. Only strings and lists of strings have values;
// others are there by name. The grant must be a string.
func readJSON(body []byte) (parameters, error) {
	o, err := splice.Parse(body)
	if err != nil {
		return nil, errors.New("the body is not a JSON object")
	}
	found := parameters{}
	for _, m := range o.Members() {
		text, ok := splice.Text(m.Value)
		switch {
		case ok:
			found[m.Name] = []string{text}
		case m.Name == "grant_type":
			return nil, errors.New("grant_type is not a string")
		default:
			found[m.Name], _ = jws.Strings(m.Value) // nil if it is something else
		}
	}
	return found, nil
}

// clearGrant matches the grant types that no reader takes for another: names
// (RFC 6749, appendix A.10) and plain URIs.
var clearGrant = regexp.MustCompile(`^[A-Za-z0-9._:/-]+$`)

// grant returns the one grant type of a request.
func (p parameters) grant() (string, error) {
	for name := range p {
		if name != "grant_type" && letters(name) == "granttype" {
			return "", errors.New("a parameter that may be taken for grant_type")
		}
	}
	values := p["grant_type"]
	if len(values) != 1 {
		return "", fmt.Errorf("%d grant types, not one", len(values))
	}
	grant := values[0]
	if !clearGrant.MatchString(grant) {
		return "", errors.New("a grant type that may be taken for several")
	}
	if grant != m2mGrant && letters(grant) == "clientcredentials" {
		return "", fmt.Errorf("a grant type that may be taken for %s", m2mGrant)
	}
	return grant, nil
}

// letters returns the letters of s in lower case. Readers fold case, turn
// dots, spaces and brackets into underscores, drop byte order marks and cut at
// a NUL, so that names with the same letters may be the same to them.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// namedClients returns every client that the request names: in HTTP Basic
// credentials (RFC 6749, section 2.3.1), in the body, and as the subject of a
// JWT assertion (RFC 7523, section 3).
func namedClients(authorization string, body parameters) ([]client, error) {
	var clients []client
	if scheme, credentials, _ := strings.Cut(authorization, " "); strings.EqualFold(scheme, "Basic") {
		c, err := basicClient(strings.TrimSpace(credentials))
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	for _, id := range body["client_id"] {
		clients = append(clients, client{id})
	}
	for _, kind := range body["client_assertion_type"] {
		if kind != jwtAssertion {
			continue // of another kind, which doesn't name the client to us
		}
		for _, assertion := range body["client_assertion"] {
			subject, err := jws.UnverifiedSubject(assertion)
			if err != nil {
				return nil, fmt.Errorf("client assertion: %w", err)
			}
			clients = append(clients, client{subject})
		}
	}
	return clients, nil
}

// basicClient reads the client of HTTP Basic credentials. The standard has it
// form-encoded, which many clients leave out and many providers don't undo, so
// both readings are kept.
func basicClient(credentials string) (client, error) {
	text, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		text, err = base64.RawStdEncoding.DecodeString(credentials)
	}
	if err != nil {
		return nil, errors.New("the basic credentials can't be decoded")
	}
	raw, _, _ := strings.Cut(string(text), ":")
	c := client{raw}
	if decoded, err := url.QueryUnescape(raw); err == nil && decoded != raw {
		c = append(c, decoded)
	}
	return c, nil
}

// words splits values at spaces: lists are repeated parameters, JSON arrays or
// space-separated texts.
func words(values []string) []string {
	var list []string
	for _, v := range values {
		list = append(list, strings.Fields(v)...)
	}
	return list
}
