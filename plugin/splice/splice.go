// Package splice reads one JSON object strictly and rewrites members in place:
// what isn't rewritten keeps its bytes and its order.
//
// Strictly means RFC 7493 (I-JSON): UTF-8 without a byte order mark, no
// duplicate member at any depth, no unpaired surrogate, and member names
// compared exactly. A text may be 10,000 objects and arrays deep. Numbers are
// never decoded, so none loses precision.
package splice

import (
	"bytes"
	"errors"
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
	whole   string // a copy of text, which names and texts are parts of
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

// Offset is where Value begins in the text that the member was parsed from.
func (m Member) Offset() int { return m.at }

// fewMembers is up to how many members an object holds without another
// allocation.
const fewMembers = 16

// Parse parses text: one object with nothing but white space around it. Errors
// say where text is wrong and quote no part of it, because it may be a token.
func Parse(text []byte) (*Object, error) {
	s := scan(text)
	defer s.release()
	if err := s.open('{', ErrNotObject); err != nil {
		return nil, err
	}
	var room struct { // enough for nearly every object, in one allocation
		object  Object
		members [fewMembers]Member
	}
	o := &room.object
	o.text, o.whole, o.members = text, string(text), room.members[:0]
	for s.more() {
		m, err := o.member(s)
		if err != nil {
			return nil, err
		}
		o.members = append(o.members, m)
	}
	o.last = int(s.decoder.InputOffset())
	if err := s.close(); err != nil {
		return nil, err
	}
	o.last += bytes.IndexByte(text[o.last:], '}')
	return o, nil
}

// member reads the next member.
func (o *Object) member(s *scanner) (m Member, err error) {
	name, at, err := s.value()
	if err != nil {
		return m, err
	}
	if inner := name[1 : len(name)-1]; plain(inner) {
		m.Name = o.whole[at+1 : at+1+len(inner)]
	} else {
		m.Name, _ = Text(name) // a valid name is a string
	}
	value, at, err := s.value()
	m.Value, m.at = jsontext.Value(o.text[at:at+len(value):at+len(value)]), at
	return m, err
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
	if len(path) == 1 {
		return value
	}
	sub, err := Parse(value)
	if err != nil {
		return nil
	}
	return sub.At(path[1:])
}

// Find returns the value that path leads to: the name of a member, or names with dots
// between them that lead through nested objects. Names may have dots, so the longest
// name that an object has counts. Nil means that there is none.
func (o *Object) Find(path string) jsontext.Value {
	for name := path; ; {
		if value := o.Get(name); name == path && value != nil {
			return value
		} else if value != nil {
			sub, err := Parse(value)
			if err != nil {
				return nil
			}
			return sub.Find(path[len(name)+1:])
		}
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return nil
		}
		name = name[:dot]
	}
}

// Alike returns the name of a member that differs from name only in letter case,
// or "". A reader that folds case would take one for the other.
func (o *Object) Alike(name string) string {
	for i := range o.members {
		if n := o.members[i].Name; n != name && strings.EqualFold(n, name) {
			return n
		}
	}
	return ""
}

// With returns the text of the object with changes: a member that exists is
// rewritten in place, new ones follow at the end in their order. The values of
// changes must be valid JSON, and their names must differ.
func (o *Object) With(changes ...Member) []byte {
	size := len(o.text)
	for _, c := range changes {
		if m := find(o.members, c.Name); m != nil {
			size -= len(m.Value)
		}
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
		out = c.appendTo(out)
	}
	return append(out, o.text[o.last:]...)
}

// Cut returns the text of the object without the members of names, each with one
// comma beside it. Everything else keeps its bytes and its order.
func (o *Object) Cut(names ...string) []byte {
	out := make([]byte, 0, len(o.text))
	end, left := 0, 0 // where the previous member ends, and how many are left
	for i, m := range o.members {
		start := end + bytes.IndexByte(o.text[end:], '"') // nothing but white space, a brace or a comma precedes a name
		cut := slices.Contains(names, m.Name)
		if i == 0 || left > 0 && !cut {
			out = append(out, o.text[end:start]...)
		}
		end = m.at + len(m.Value)
		if !cut {
			out = append(out, o.text[start:end]...)
			left++
		}
	}
	return append(out, o.text[end:]...)
}

func (m Member) appendTo(text []byte) []byte {
	text, _ = jsontext.AppendQuote(text, m.Name) // it replaces invalid UTF-8, so the text stays JSON
	return append(append(text, ':'), m.Value...)
}

func find(members []Member, name string) *Member {
	for i := range members {
		if members[i].Name == name {
			return &members[i]
		}
	}
	return nil
}

// Text returns the text of the JSON string value, and whether it is one.
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

// plain reports whether a string without its quotes needs no decoding, as most
// don't.
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

// Texts returns the texts of the JSON array value, and whether it holds only
// strings.
func Texts(value jsontext.Value) ([]string, bool) {
	list, all := []string{}, true
	err := eachElement(value, func(element jsontext.Value) {
		text, ok := Text(element)
		list, all = append(list, text), all && ok
	})
	if err != nil || !all {
		return nil, false
	}
	return list, true
}

// Elements returns the elements of the JSON array value as they are written.
func Elements(value jsontext.Value) (list []jsontext.Value, err error) {
	err = eachElement(value, func(element jsontext.Value) { list = append(list, element) })
	return list, err
}

var errNotArray = errors.New("not an array")

func eachElement(value jsontext.Value, visit func(jsontext.Value)) error {
	s := scan(value)
	defer s.release()
	if err := s.open('[', errNotArray); err != nil {
		return err
	}
	for s.more() {
		element, at, err := s.value()
		if err != nil {
			return err
		}
		visit(value[at : at+len(element) : at+len(element)])
	}
	return s.close()
}
