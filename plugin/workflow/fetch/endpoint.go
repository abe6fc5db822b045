package fetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"m2m-token-enricher/schema"
)

// endpoint is one that is answered from the records. The part {id} of its path
// stands for any identifier; otherwise parameter, if not empty, has it.
type endpoint struct {
	method, path, parameter string
	answer                  func(q question) (any, error)
}

var endpoints = []endpoint{
	{http.MethodPost, "oauth2/token", "", func(question) (any, error) { return dummyToken, nil }},
	{http.MethodGet, "api/v1/applications/{id}", "", question.application},
	{http.MethodGet, "api/v1/applications/{id}/properties", "", question.applicationProperties},
	{http.MethodGet, "api/v1/organization", "code", question.organization},
	{http.MethodGet, "api/v1/organizations", "", question.organizations},
	{http.MethodGet, "api/v1/organizations/{id}/properties", "", question.organizationProperties},
	{http.MethodGet, "api/v1/user", "id", question.user},
	{http.MethodGet, "api/v1/users/{id}/properties", "", question.userProperties},
}

// String is how an error lists the endpoint.
func (e endpoint) String() string {
	if e.parameter != "" {
		return e.method + " " + e.path + "?" + e.parameter + "="
	}
	return e.method + " " + e.path
}

// match reports whether the endpoint has the path of segments, and returns its {id}.
func (e endpoint) match(segments []string) (id string, ok bool) {
	pattern := strings.Split(e.path, "/")
	if len(pattern) != len(segments) {
		return "", false
	}
	for i, segment := range segments {
		switch {
		case pattern[i] == "{id}":
			id = segment
		case pattern[i] != segment:
			return "", false
		}
	}
	return id, true
}

// question is one that the records answer: about the record id, for an exchange.
type question struct {
	id       string
	clientID string
	related  Related
}

// fromRecords answers r, whose URL u is the tenant's.
func (c *Client) fromRecords(r Request, u *url.URL, clientID string, related Related) (Response, error) {
	asked, segments := c.path(u)
	for _, e := range endpoints {
		id, ok := e.match(segments)
		if !ok || e.method != r.Method {
			continue
		}
		body, err := e.ask(r, u, question{id, clientID, related})
		if err != nil {
			return Response{}, fmt.Errorf("%s %s: %w", e.method, e.path, err)
		}
		return Response{http.StatusOK, body}, nil
	}
	return Response{}, fmt.Errorf("%s %.200q isn't answered from the records, and a workflow's requests never reach the tenant; answered are %s", r.Method, asked, answered())
}

// path returns what u asks of the tenant: below its domain, without a slash at the
// end, and its decoded segments.
func (c *Client) path(u *url.URL) (string, []string) {
	path, below := strings.CutPrefix(u.EscapedPath(), c.base+"/")
	if !below {
		return u.EscapedPath(), nil
	}
	path = strings.TrimSuffix(path, "/")
	segments := strings.Split(path, "/")
	for i := range segments {
		segments[i], _ = url.PathUnescape(segments[i]) // the URL was parsed, so it can be
	}
	return path, segments
}

func answered() string {
	var list []string
	for _, e := range endpoints {
		list = append(list, e.String())
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (e endpoint) ask(r Request, u *url.URL, q question) ([]byte, error) {
	if e.parameter != "" {
		var err error
		if q.id, err = parameter(r, u, e.parameter); err != nil {
			return nil, err
		}
	}
	answer, err := e.answer(q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// parameter returns the one value of name in the query, or in the body: the library
// sends the parameters of a GET there.
func parameter(r Request, u *url.URL, name string) (string, error) {
	query, err := url.ParseQuery(u.RawQuery)
	body, bodyErr := url.ParseQuery(r.Body)
	if err != nil || bodyErr != nil {
		return "", errors.New("the query or the body is not form-encoded") // err shows a part of it
	}
	values := slices.Compact(append(query[name], body[name]...))
	switch {
	case len(values) > 1:
		return "", fmt.Errorf("the parameter %q has more than one value", name)
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("the parameter %q is required", name)
	}
	return values[0], nil
}

// own returns the record of kind that the exchange's application has, if it is the
// one that the question names.
func (q question) own(kind schema.Kind) (schema.Record, error) {
	if kind == schema.Application && q.id != q.clientID {
		return nil, fmt.Errorf("a workflow reads only its own application, %q", q.clientID)
	}
	id, record, err := q.related(kind)
	switch {
	case err != nil:
		return nil, err
	case kind == schema.Application:
		return record, nil
	case id == "":
		return nil, fmt.Errorf("a workflow reads only its own application's %s, and the application names none; %s.from says where it is named", kind, kind)
	case id != q.id:
		return nil, fmt.Errorf("a workflow reads only its own application's %s, %q, which %s.from finds", kind, id, kind)
	}
	return record, nil
}
