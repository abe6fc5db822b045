package splice

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of a text. Their numbers bound the work, not what is sensible.
const (
	maxDepth   = 1000 // of objects and arrays in each other
	fewMembers = 16   // up to which the names of an object are compared one by one
)

// scanner reads JSON strictly, in one pass and without building anything but
// the names of members, which must differ. It is our own since every token's
// way leads through it three times: a general decoder takes a dozen times the
// allocations.
type scanner struct {
	text  []byte
	at    int
	depth int
	names [][]byte // of the members of the objects that are open
}

// mistake tells where the text is wrong, and holds no part of it.
type mistake struct {
	what string
	at   int
}

func (m *mistake) Error() string { return fmt.Sprintf("%s after offset %d", m.what, m.at) }

func (s *scanner) wrong() error {
	if s.at >= len(s.text) {
		return &mistake{"unfinished JSON", s.at}
	}
	return &mistake{"not valid JSON", s.at}
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// next returns the next byte that is no space, 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// take goes on behind the byte c, which must be the next.
func (s *scanner) take(c byte) error {
	if s.next() != c {
		return s.wrong()
	}
	s.at++
	return nil
}

// value goes on behind the next value.
func (s *scanner) value() error {
	switch c := s.next(); {
	case c == '"':
		_, err := s.quoted()
		return err
	case c == '{':
		return s.object(nil)
	case c == '[':
		return s.array(nil)
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case c == '-' || isDigit(c):
		return s.number()
	}
	return s.wrong()
}

// object goes on behind an object. member, if it isn't nil, is told of each
// member: its name, unquoted, where that stands if it needs no unquoting, else
// -1, and where its value begins and ends.
func (s *scanner) object(member func(name []byte, at, begin, end int)) error {
	if err := s.enter('{'); err != nil {
		return err
	}
	outer := len(s.names)
	known := names{}
	for first := true; s.next() != '}'; first = false {
		if !first {
			if err := s.take(','); err != nil {
				return err
			}
		}
		name, at, err := s.name()
		if err != nil {
			return err
		}
		if !known.add(s.names[outer:], name) {
			return &mistake{"a duplicate member", s.at}
		}
		s.names = append(s.names, name)
		if err := s.take(':'); err != nil {
			return err
		}
		s.space()
		begin := s.at
		if err := s.value(); err != nil {
			return err
		}
		if member != nil {
			member(name, at, begin, s.at)
		}
	}
	s.names = s.names[:outer]
	s.leave()
	return nil
}

// name goes on behind the name of a member.
func (s *scanner) name() (name []byte, at int, err error) {
	if s.next() != '"' {
		return nil, 0, s.wrong()
	}
	begin := s.at
	escaped, err := s.quoted()
	if err != nil {
		return nil, 0, err
	}
	if !escaped {
		return s.text[begin+1 : s.at-1], begin + 1, nil
	}
	name, err = jsontext.AppendUnquote(nil, s.text[begin:s.at])
	return name, -1, err
}

// names are those that an object has so far, once they are many.
type names map[string]struct{}

// add returns false if earlier, which has all names, has this one.
func (n *names) add(earlier [][]byte, name []byte) bool {
	if len(earlier) < fewMembers {
		for _, e := range earlier {
			if bytes.Equal(e, name) {
				return false
			}
		}
		return true
	}
	if len(*n) == 0 {
		*n = make(names, 2*fewMembers)
		for _, e := range earlier {
			(*n)[string(e)] = struct{}{}
		}
	}
	_, twice := (*n)[string(name)]
	(*n)[string(name)] = struct{}{}
	return !twice
}

// array goes on behind an array. element, if it isn't nil, is told of each
// element: where it begins and ends.
func (s *scanner) array(element func(begin, end int)) error {
	if err := s.enter('['); err != nil {
		return err
	}
	for first := true; s.next() != ']'; first = false {
		if !first {
			if err := s.take(','); err != nil {
				return err
			}
			s.space()
		}
		begin := s.at
		if err := s.value(); err != nil {
			return err
		}
		if element != nil {
			element(begin, s.at)
		}
	}
	s.leave()
	return nil
}

func (s *scanner) enter(c byte) error {
	if err := s.take(c); err != nil {
		return err
	}
	if s.depth++; s.depth > maxDepth {
		return &mistake{"too deep JSON", s.at}
	}
	return nil
}

func (s *scanner) leave() {
	s.at++
	s.depth--
}

// end returns an error unless nothing but space is left.
func (s *scanner) end() error {
	if s.next() != 0 || s.at < len(s.text) {
		return &mistake{"text after the JSON value", s.at}
	}
	return nil
}
