package enrich

import (
	"errors"
	"iter"
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
)

// parameters are those of a token request, in their order and in any of the
// encodings that providers accept.
type parameters []parameter

// has tells whether the parameter called name has a value.
func (p parameters) has(name string) bool {
	for value := range p.all(name) {
		if value != "" {
			return true
		}
	}
	return false
}

// namesGrant tells whether a parameter may be taken for grant_type.
func (p parameters) namesGrant() bool {
	return slices.ContainsFunc(p, func(one parameter) bool { return spells(one.name, "granttype") })
}

// parameter has one value; what is repeated, or a list, is several.
type parameter struct {
	name, value string
	valueless   bool // it is there, with a value that is no text
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

func readParameters(r Request) (parameters, error) {
	if r.BodyError != nil {
		return nil, r.BodyError
	}
	kind, err := media(r.ContentType, r.ContentEncoding)
	switch {
	case err != nil:
		return nil, err
	case kind == formMediaType:
		return readForm(string(r.Body))
	}
	return readJSON(r.Body)
}

// media returns the media type of a body that every reader takes alike: a form
// or JSON, in UTF-8 and not encoded.
func media(contentType, contentEncoding string) (string, error) {
	if encoding := strings.TrimSpace(contentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return "", errors.New("the body is encoded, and not every reader decodes it")
	}
	if contentType == formMediaType { // nearly always
		return formMediaType, nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", errors.New("the body has no valid media type")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return "", errors.New("the body is not in UTF-8")
	}
	if kind != formMediaType && kind != "application/json" {
		return "", errors.New("the body is neither a form nor JSON")
	}
	return kind, nil
}

// readForm decodes a form as url.ParseQuery does.
func readForm(text string) (parameters, error) {
	if text == "" {
		return nil, nil
	}
	form := make(parameters, 0, 8)
	for text != "" {
		var pair string
		if pair, text, _ = strings.Cut(text, "&"); pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		switch {
		case nameErr != nil || valueErr != nil || strings.Contains(pair, ";"):
			return nil, errors.New("the form can't be decoded")
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return nil, errors.New("the form is not in UTF-8")
		}
		form = append(form, parameter{name: name, value: value})
	}
	return form, nil
}

// readJSON reads a JSON body. Only strings and lists of strings have values;
// others are there by name. The grant must be a string.
func readJSON(body []byte) (parameters, error) {
	o, err := splice.Parse(body)
	if err != nil {
		return nil, errors.New("the body is not a JSON object")
	}
	var found parameters
	for _, m := range o.Members() {
		text, ok := splice.Text(m.Value)
		switch {
		case ok:
			found = append(found, parameter{name: m.Name, value: text})
			continue
		case m.Name == "grant_type":
			return nil, errors.New("grant_type is not a string")
		}
		texts, _ := jws.Strings(m.Value) // none if it is something else
		if len(texts) == 0 {
			found = append(found, parameter{name: m.Name, valueless: true})
		}
		for _, text := range texts {
			found = append(found, parameter{name: m.Name, value: text})
		}
	}
	return found, nil
}

// words splits the values of a parameter at spaces: lists are repeated
// parameters, JSON arrays or space-separated texts.
func (p parameters) words(name string) []string {
	var list []string
	for v := range p.all(name) {
		list = append(list, strings.Fields(v)...)
	}
	return list
}
