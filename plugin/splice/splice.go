// Package splice reads one JSON object strictly and rewrites members in place:
// what isn't rewritten keeps its bytes and its order.
//
// Strictly means RFC 7493 (I-JSON): UTF-8 without a byte order mark, no
// duplicate member at any depth, no unpaired surrogate, and member names
// compared exactly. Numbers are never decoded, so none loses precision.
package splice

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrNotObject is wrapped when a text is valid JSON but not an object.
var ErrNotObject = errors.New("not a JSON object")

// Object is a parsed JSON object. Its values are parts of the text it was
// parsed from, which must not be modified. Safe for concurrent use.
type Object struct {
	text    []byte
	whole   string // the same, of which names and texts are parts
	members []Member
	last    int // offset of the closing brace
}

// Member is one member of an object. Value is its text as it was written,
// without white space around it.
type Member struct {
	Name  string
	Value jsontext.Value
	at    int // offset of Value
}

// Parse parses text, which must hold one object and nothing else but white
// space. Errors tell where text is wrong and hold no part of it, since it may
// be a token.
func Parse(text []byte) (*Object, error) {
	s := scanner{text: text}
	if c := s.next(); c != '{' {
		err := s.value()
		if err == nil {
			err = s.end()
		}
		if err == nil {
			err = fmt.Errorf("%w but a %v", ErrNotObject, jsontext.Kind(c))
		}
		return nil, err
	}
	var room struct { // what nearly every object needs, in one piece
		object  Object
		members [fewMembers]Member
		names   [fewMembers][]byte
	}
	o := &room.object
	o.text, o.whole, o.members, s.names = text, string(text), room.members[:0], room.names[:0]
	err := s.object(func(name []byte, at, begin, end int) {
		m := Member{Value: jsontext.Value(text[begin:end:end]), at: begin}
		if at >= 0 {
			m.Name = o.whole[at : at+len(name)]
		} else {
			m.Name = string(name)
		}
		o.members = append(o.members, m)
	})
	o.last = s.at - 1
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

// Bytes returns the text of the object.
func (o *Object) Bytes() []byte { return o.text }

// Members returns the members in their order. The slice must not be modified.
func (o *Object) Members() []Member { return o.members }

// Get returns the value of the member called name, or nil if there is none. A
// member that is null has the value null.
func (o *Object) Get(name string) jsontext.Value {
	for i := range o.members {
		if o.members[i].Name == name {
			return o.members[i].Value
		}
	}
	return nil
}

// Text returns the text of the member called name, and whether it is a string.
func (o *Object) Text(name string) (string, bool) {
	m := find(o.members, name)
	if m == nil {
		return "", false
	}
	if len(m.Value) >= 2 && m.Value[0] == '"' && plain(m.Value[1:len(m.Value)-1]) {
		return o.whole[m.at+1 : m.at+len(m.Value)-1], true
	}
	return Text(m.Value)
}

// TextAt is Text for the value at path, as [Object.At] finds it.
func (o *Object) TextAt(path []string) (string, bool) {
	if len(path) == 1 {
		return o.Text(path[0])
	}
	return Text(o.At(path))
}

// At returns the value at path, which leads through nested objects, or nil if
// there is none.
func (o *Object) At(path []string) jsontext.Value {
	if len(path) == 0 {
		return nil
	}
	value := o.Get(path[0])
	if len(path) == 1 || value.Kind() != '{' {
		if len(path) > 1 {
			return nil
		}
		return value
	}
	sub, err := Parse(value)
	if err != nil {
		return nil
	}
	return sub.At(path[1:])
}

// Alike returns the name of a member that differs from name in letter case
// only, or "". A reader that folds case would take it for the other.
func (o *Object) Alike(name string) string {
	for i := range o.members {
		if n := o.members[i].Name; n != name && strings.EqualFold(n, name) {
			return n
		}
	}
	return ""
}

// With returns the text of the object with the members of changes: one that
// exists is rewritten where it stands, others are added at the end in their
// order. The values must be valid JSON; the names in changes must differ.
func (o *Object) With(changes ...Member) []byte {
	size := len(o.text)
	for _, c := range changes {
		size += len(c.Name) + len(c.Value) + len(`"":,`)
	}
	out := make([]byte, 0, size)
	done := 0
	for i := range o.members {
		m := &o.members[i]
		if c := find(changes, m.Name); c != nil {
			out = append(out, o.text[done:m.at]...)
			out = append(out, c.Value...)
			done = m.at + len(m.Value)
		}
	}
	out = append(out, o.text[done:o.last]...)
	comma := len(o.members) > 0
	for _, c := range changes {
		if find(o.members, c.Name) != nil {
			continue
		}
		if comma {
			out = append(out, ',')
		}
		comma = true
		out, _ = jsontext.AppendQuote(out, c.Name) // it replaces invalid UTF-8, so the text stays JSON
		out = append(out, ':')
		out = append(out, c.Value...)
	}
	return append(out, o.text[o.last:]...)
}

// Without returns the object without the members of names, as one line.
func (o *Object) Without(names ...string) []byte {
	out := []byte("{")
	for _, m := range o.members {
		if slices.Contains(names, m.Name) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out, _ = jsontext.AppendQuote(out, m.Name) // it was parsed, so it is UTF-8
		out = append(out, ':')
		out = append(out, m.Value...)
	}
	return append(out, '}')
}

func find(members []Member, name string) *Member {
	for i := range members {
		if members[i].Name == name {
			return &members[i]
		}
	}
	return nil
}

// Text returns the text of a JSON string, and whether value is one.
func Text(value jsontext.Value) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if plain(value[1:len(value)-1]) && value[len(value)-1] == '"' {
		return string(value[1 : len(value)-1]), true
	}
	raw, err := jsontext.AppendUnquote(nil, value)
	return string(raw), err == nil
}

// plain tells whether a string's inner text stands for itself, as most do.
func plain(inner []byte) bool {
	for _, c := range inner {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Quote returns s as a JSON string. It is an error if s isn't UTF-8.
func Quote(s string) (jsontext.Value, error) {
	return jsontext.AppendQuote(nil, s)
}

// Texts returns the texts of a JSON array of strings, and whether value is one.
func Texts(value jsontext.Value) ([]string, bool) {
	s := scanner{text: value}
	if s.next() != '[' {
		return nil, false
	}
	list, all := []string{}, true
	err := s.array(func(begin, end int) {
		text, ok := Text(value[begin:end])
		list, all = append(list, text), all && ok
	})
	if err != nil || !all || s.end() != nil {
		return nil, false
	}
	return list, true
}

// Elements returns the elements of a JSON array, as they are written.
func Elements(value jsontext.Value) ([]jsontext.Value, error) {
	s := scanner{text: value}
	if s.next() != '[' {
		return nil, errors.New("not an array")
	}
	var list []jsontext.Value
	err := s.array(func(begin, end int) { list = append(list, value[begin:end:end]) })
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}
