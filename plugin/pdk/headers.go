package pdk

import (
	"errors"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// PreparedHeaders are headers as kong.response.exit takes them, a
// google.protobuf.Struct of lists, ready to be sent any number of times.
type PreparedHeaders []byte

// PrepareHeaders prepares headers. An empty list deletes one: Kong otherwise keeps
// every header of the upstream's.
func PrepareHeaders(headers map[string][]string) PreparedHeaders {
	var out PreparedHeaders
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		out = out.with(name, headers[name])
	}
	return out
}

// Deleting returns h with each of names deleted, too. It leaves h alone.
func (h PreparedHeaders) Deleting(names ...string) PreparedHeaders {
	h = slices.Clip(h)
	for _, name := range names {
		h = h.with(name, nil)
	}
	return h
}

func (h PreparedHeaders) with(name string, lines []string) PreparedHeaders {
	value := protowire.AppendTag(nil, 6, protowire.BytesType)
	value = protowire.AppendBytes(value, listMessage(lines...)(nil))
	entry := appendText(nil, 1, name)
	entry = protowire.AppendTag(entry, 2, protowire.BytesType)
	entry = protowire.AppendBytes(entry, value)
	h = protowire.AppendTag(h, 1, protowire.BytesType)
	return protowire.AppendBytes(h, entry)
}

// HeaderNames are names of the headers of an answer.
type HeaderNames struct {
	Names []string // those that were chosen, in lower case
	Lines int      // of all headers; MaxHeaders if some may be hidden
}

// readHeaderNames reads a google.protobuf.Struct whose values are strings and
// lists of strings. With an error come the names before it.
func readHeaderNames(message []byte, wanted func(name []byte) bool) (h HeaderNames, err error) {
	err = eachHeader(message, func(name, value []byte) error {
		lines, err := linesOf(value)
		h.Lines += lines
		if wanted(name) {
			h.Names = append(h.Names, string(name))
		}
		return err
	})
	return h, err
}

// eachHeader calls each with the fields of a google.protobuf.Struct until there is
// an error. It also calls it with the readable part of a broken field.
func eachHeader(message []byte, each func(name, value []byte) error) error {
	return fields(message, func(n protowire.Number, typ protowire.Type, raw []byte) error {
		if n != 1 {
			return nil
		}
		entry, err := bytesOf(typ, raw)
		if err != nil {
			return err
		}
		name, nameErr := field(entry, 1)
		value, valueErr := field(entry, 2)
		return errors.Join(nameErr, valueErr, each(name, value))
	})
}

// linesOf returns how many lines a header has by its google.protobuf.Value.
func linesOf(value []byte) (lines int, err error) {
	_, list, err := kindsOf(value)
	if list == nil || err != nil {
		return 1, err
	}
	err = fields(list, func(protowire.Number, protowire.Type, []byte) error { lines++; return nil })
	return lines, err
}
