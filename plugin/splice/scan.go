package splice

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner reads one JSON value with a decoder that refuses what I-JSON forbids,
// and values that are more than 10,000 objects and arrays deep.
//
// Scanners are pooled, so that one costs no allocation. The pool keeps no text:
// the decoder reads the caller's own bytes. It may keep names of members, which
// nothing can read.
type scanner struct {
	decoder jsontext.Decoder
	text    bytes.Buffer // the decoder reads it in place
}

var scanners = sync.Pool{New: func() any { return new(scanner) }}

func scan(text []byte) *scanner {
	s := scanners.Get().(*scanner)
	s.text = *bytes.NewBuffer(text)
	s.decoder.Reset(&s.text)
	return s
}

// release returns s to the pool.
func (s *scanner) release() {
	s.text = bytes.Buffer{}
	s.decoder.Reset(&s.text)
	scanners.Put(s)
}

// open moves into the text's value, which must be an object ('{') or an array
// ('['), as kind says. The error wraps other if it is another valid value.
func (s *scanner) open(kind jsontext.Kind, other error) error {
	actual := s.decoder.PeekKind()
	if actual == kind {
		_, err := s.decoder.ReadToken()
		return s.wrong(err)
	}
	err := s.decoder.SkipValue()
	if err == nil {
		err = s.end()
	}
	if err == nil {
		return fmt.Errorf("%w but a %v", other, actual)
	}
	return s.wrong(err)
}

// more reports whether another member or element follows.
func (s *scanner) more() bool {
	kind := s.decoder.PeekKind()
	return kind != '}' && kind != ']'
}

// value reads the next value: an element, or a name or value of a member. It
// begins at the offset at. Its bytes are the text's own.
func (s *scanner) value() (value jsontext.Value, at int, err error) {
	value, err = s.decoder.ReadValue()
	return value, int(s.decoder.InputOffset()) - len(value), s.wrong(err)
}

// close reads the end of the object or array. Only white space may follow.
func (s *scanner) close() error {
	_, err := s.decoder.ReadToken()
	if err == nil {
		err = s.end()
	}
	return s.wrong(err)
}

func (s *scanner) end() error {
	_, err := s.decoder.ReadToken()
	switch {
	case err == nil:
		return errors.New("more than one value")
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// wrong replaces an error of the decoder, which quotes the text.
func (s *scanner) wrong(err error) error {
	if err == nil {
		return nil
	}
	what, at := "not valid JSON", s.decoder.InputOffset()
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = syntax.ByteOffset
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		what = "a duplicate member"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		what = "unfinished JSON"
	}
	return fmt.Errorf("%s after offset %d", what, at)
}
