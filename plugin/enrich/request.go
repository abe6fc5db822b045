package enrich

import (
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strings"
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
// ways, so a request that two readers could take differently is refused.
func readRequest(r Request) (tokenRequest, error) {
	query, err := url.ParseQuery(r.Query)
	if err != nil {
		return tokenRequest{}, endWith(AmbiguousRequest, "the query can't be decoded")
	}
	for name := range query {
		if strings.EqualFold(name, "grant_type") {
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
	clients, err := namedClients(r.Authorization, body)
	if err != nil {
		return tokenRequest{}, endWith(ClientMismatch, "%w", err)
	}
	return tokenRequest{clients: clients, audience: words(body["audience"]), scope: words(body["scope"])}, nil
}

func readParameters(r Request) (parameters, error) {
	if r.BodyError != nil {
		return nil, r.BodyError
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
		return readForm(r.Body)
	case "application/json":
		return readJSON(r.Body)
	}
	return nil, errors.New("the body is neither a form nor JSON")
}

func readForm(body []byte) (parameters, error) {
	form, err := url.ParseQuery(string(body))
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

// readJSON reads a JSON body. Only strings and lists of strings can be
// parameters; others are left out, unless they are the grant.
func readJSON(body []byte) (parameters, error) {
	o, err := splice.Parse(body)
	if err != nil {
		return nil, errors.New("the body is not a JSON object")
	}
	found := parameters{}
	for _, m := range o.Members() {
		if text, ok := splice.Text(m.Value); ok {
			found[m.Name] = []string{text}
		} else if strings.EqualFold(m.Name, "grant_type") {
			return nil, errors.New("grant_type is not a string")
		} else if list, err := jws.Strings(m.Value); err == nil {
			found[m.Name] = list
		}
	}
	return found, nil
}

// grant returns the one grant type of a request.
func (p parameters) grant() (string, error) {
	for name := range p {
		if name != "grant_type" && strings.EqualFold(name, "grant_type") {
			return "", errors.New("a parameter that may be taken for grant_type")
		}
	}
	values := p["grant_type"]
	if len(values) != 1 || values[0] == "" {
		return "", fmt.Errorf("%d grant types, not one", len(values))
	}
	grant := values[0]
	if grant != m2mGrant && strings.EqualFold(strings.TrimSpace(grant), m2mGrant) {
		return "", fmt.Errorf("a grant type that may be taken for %s", m2mGrant)
	}
	return grant, nil
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
