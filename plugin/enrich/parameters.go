package enrich

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"unicode/utf8"

	"m2m-token-enricher/plugin/splice"
)

// parameters are those of a token request in their order, whatever encoding they
// came in.
type parameters []parameter

// has reports whether the parameter called name has a value.
func (p parameters) has(name string) bool {
	for value := range p.all(name) {
		if value != "" {
			return true
		}
	}
	return false
}

// hasCredentials reports whether p has the client's id and secret.
func (p parameters) hasCredentials() bool { return p.has("client_id") && p.has("client_secret") }

// parameter has one value; what is repeated, or a list, is several.
type parameter struct {
	name, value string
	valueless   bool // the value isn't text
}

// all returns the values of the parameter called name.
func (p parameters) all(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, one := range p {
			if one.name == name && !one.valueless && !yield(one.value) {
				return
			}
		}
	}
}

// assertions returns the JWT assertions of the client. What has no value is absent,
// and the plugin can't read the client of another kind.
func (p parameters) assertions() iter.Seq[string] {
	isJWT := func(one parameter) bool { return one.name == "client_assertion_type" && one.value == jwtAssertion }
	return func(yield func(string) bool) {
		if !slices.ContainsFunc(p, isJWT) {
			return
		}
		for assertion := range p.all("client_assertion") {
			if assertion != "" && !yield(assertion) {
				return
			}
		}
	}
}

// readBody reads a JSON object or a form.
func readBody(body []byte) (parameters, error) {
	if isJSON(body) {
		return readJSON(body)
	}
	return readForm(string(body))
}

func isJSON(body []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) }

// readJSON reads a JSON body in the shape that all readers understand alike. Only
// strings and lists of strings have values. A deciding member must be a string.
func readJSON(body []byte) (parameters, error) {
	o, err := splice.Parse(body)
	if err != nil {
		return nil, errors.New("the body is not a JSON object")
	}
	if hidesName(string(body), "&;") {
		return nil, errors.New("the JSON has a & or ; after which a parameter of a form may begin")
	}
	var all parameters
	for _, m := range o.Members() {
		if err := checkName(m.Name); err != nil {
			return nil, err
		}
		text, ok := splice.Text(m.Value)
		switch {
		case ok:
			all = append(all, parameter{name: m.Name, value: text})
			continue
		case slices.Contains(deciding, m.Name) && m.Value.Kind() != 'n': // null is no value
			return nil, errors.New(m.Name + " is not a string")
		}
		texts, _ := splice.Texts(m.Value) // none if it is something else
		if len(texts) == 0 {
			all = append(all, parameter{name: m.Name, valueless: true})
		}
		for _, text := range texts {
			all = append(all, parameter{name: m.Name, value: text})
		}
	}
	return all, nil
}

// ascii reports whether all values are ASCII.
func (p parameters) ascii() bool {
	for _, one := range p {
		for i := range len(one.value) {
			if one.value[i] >= utf8.RuneSelf {
				return false
			}
		}
	}
	return true
}
