package splice

import (
	"bytes"
	"math"
	"unicode/utf8"
)

func (s *scanner) literal(word string) error {
	for i := range len(word) {
		if s.at >= len(s.text) || s.text[s.at] != word[i] {
			return s.wrong()
		}
		s.at++
	}
	return nil
}

// quoted goes on behind a string, and tells whether anything in it is escaped.
func (s *scanner) quoted() (escaped bool, err error) {
	s.at++
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return escaped, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return true, err
			}
		case c < ' ':
			return escaped, s.wrong()
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, n := utf8.DecodeRune(s.text[s.at:])
			if r == utf8.RuneError && n == 1 {
				return escaped, s.wrong()
			}
			s.at += n
		}
	}
	return escaped, s.wrong()
}

// escape goes on behind an escape sequence. A surrogate must be one of a pair
// (RFC 7493, section 2.1).
func (s *scanner) escape() error {
	s.at++
	if s.at >= len(s.text) {
		return s.wrong()
	}
	switch s.text[s.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
	default:
		return s.wrong()
	}
	unit, err := s.unit()
	switch {
	case err != nil:
		return err
	case unit < 0xD800 || unit > 0xDFFF:
		return nil
	case unit > 0xDBFF || !bytes.HasPrefix(s.text[s.at:], []byte(`\u`)):
		return s.wrong()
	}
	s.at++
	if unit, err = s.unit(); err != nil {
		return err
	}
	if unit < 0xDC00 || unit > 0xDFFF {
		return s.wrong()
	}
	return nil
}

// unit goes on behind u and four hexadecimal digits.
func (s *scanner) unit() (unit int, err error) {
	s.at++
	for range 4 {
		if s.at >= len(s.text) {
			return 0, s.wrong()
		}
		switch c := s.text[s.at]; {
		case isDigit(c):
			unit = unit<<4 | int(c-'0')
		case 'a' <= c && c <= 'f':
			unit = unit<<4 | int(c-'a'+10)
		case 'A' <= c && c <= 'F':
			unit = unit<<4 | int(c-'A'+10)
		default:
			return 0, s.wrong()
		}
		s.at++
	}
	return unit, nil
}

// number goes on behind a number (RFC 8259, section 6).
func (s *scanner) number() error {
	if s.text[s.at] == '-' {
		s.at++
	}
	most := math.MaxInt
	if s.at < len(s.text) && s.text[s.at] == '0' {
		most = 1 // no digit follows a leading zero
	}
	if err := s.digits(most); err != nil {
		return err
	}
	if s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
		if err := s.digits(math.MaxInt); err != nil {
			return err
		}
	}
	if s.at < len(s.text) && (s.text[s.at] == 'e' || s.text[s.at] == 'E') {
		s.at++
		if s.at < len(s.text) && (s.text[s.at] == '+' || s.text[s.at] == '-') {
			s.at++
		}
		return s.digits(math.MaxInt)
	}
	return nil
}

// digits goes on behind one to most digits.
func (s *scanner) digits(most int) error {
	begin := s.at
	for s.at < len(s.text) && isDigit(s.text[s.at]) && s.at-begin < most {
		s.at++
	}
	if s.at == begin {
		return s.wrong()
	}
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
