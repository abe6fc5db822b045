package splice

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Walk calls visit for the value of text and for each member and element in it, at
// any depth and in their order, until visit returns false. The value of an object
// or an array is its opening bracket alone. What is no member has no name.
//
// Unlike Parse, it takes duplicate members and invalid UTF-8. The error says that
// the rest of text isn't JSON.
func Walk(text []byte, visit func(Member) (more bool)) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for name := ""; ; {
		value, isName, err := next(d)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return errors.New("not valid JSON")
		case isName:
			name, _ = Text(value)
			continue
		case value != nil && !visit(Member{Name: name, Value: value}):
			return nil
		}
		name = ""
	}
}

// next reads a name or a scalar whole, of an object or an array the opening
// bracket, and nil at its end.
func next(d *jsontext.Decoder) (value jsontext.Value, isName bool, err error) {
	switch kind := d.PeekKind(); kind {
	case '{', '[':
		_, err = d.ReadToken()
		return jsontext.Value{byte(kind)}, false, err
	case '}', ']':
		_, err = d.ReadToken()
		return nil, false, err
	}
	within, n := d.StackIndex(d.StackDepth())
	value, err = d.ReadValue()
	return value, within == '{' && n%2 == 0, err
}
