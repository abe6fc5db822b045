package pdk

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of an event are read and written field by field: they are small, and
// decoding each into a structure would cost more than the rest of the work on the
// socket. The numbers are those of go-pdk's kong_plugin_protocol. A test compares
// every message with it.

var errMessage = errors.New("not a message of the plugin protocol")

// wellFormed returns an error if message isn't a message, whatever its fields.
func wellFormed(message []byte) error {
	return fields(message, func(protowire.Number, protowire.Type, []byte) error { return nil })
}

// field returns the bytes of the field called number, the last if it comes
// again, and nil if it doesn't come. A field of another type is an error.
func field(message []byte, number protowire.Number) (value []byte, err error) {
	err = fields(message, func(n protowire.Number, typ protowire.Type, raw []byte) (err error) {
		if n == number {
			value, err = bytesOf(typ, raw)
		}
		return err
	})
	return value, err
}

// varint is field for an integer, 0 if it doesn't come.
func varint(message []byte, number protowire.Number) (value uint64, err error) {
	err = fields(message, func(n protowire.Number, typ protowire.Type, raw []byte) (err error) {
		if n == number {
			value, err = varintOf(typ, raw)
		}
		return err
	})
	return value, err
}

// fields calls each with every field of message, until one returns an error. each
// ignores numbers that it doesn't know: a later Kong may have more fields.
func fields(message []byte, each func(n protowire.Number, typ protowire.Type, raw []byte) error) error {
	for len(message) > 0 {
		number, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errMessage
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(number, typ, message); n < 0 {
			return errMessage
		}
		if err := each(number, typ, message[:n]); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}

func bytesOf(typ protowire.Type, raw []byte) ([]byte, error) {
	if typ != protowire.BytesType {
		return nil, errMessage
	}
	value, _ := protowire.ConsumeBytes(raw) // it was consumed before
	return value, nil
}

func varintOf(typ protowire.Type, raw []byte) (uint64, error) {
	if typ != protowire.VarintType {
		return 0, errMessage
	}
	value, _ := protowire.ConsumeVarint(raw)
	return value, nil
}

func nothing(out []byte) []byte { return out }

// stringMessage writes a String.
func stringMessage(text string) func([]byte) []byte {
	return func(out []byte) []byte { return appendText(out, 1, text) }
}

func appendText(out []byte, number protowire.Number, text string) []byte {
	if text == "" {
		return out
	}
	out = protowire.AppendTag(out, number, protowire.BytesType)
	return protowire.AppendString(out, text)
}

// valueOf writes a google.protobuf.Value that is a string.
func valueOf(text string) []byte {
	out := protowire.AppendTag(nil, 3, protowire.BytesType) // even if it is empty, because it shows the kind
	return protowire.AppendString(out, text)
}

// listMessage writes a google.protobuf.ListValue of strings.
func listMessage(texts ...string) func([]byte) []byte {
	return func(out []byte) []byte {
		for _, text := range texts {
			out = protowire.AppendTag(out, 1, protowire.BytesType)
			out = protowire.AppendBytes(out, valueOf(text))
		}
		return out
	}
}

// pairMessage writes a KV of two strings.
func pairMessage(name, value string) func([]byte) []byte {
	return func(out []byte) []byte {
		out = appendText(out, 1, name)
		out = protowire.AppendTag(out, 2, protowire.BytesType)
		return protowire.AppendBytes(out, valueOf(value))
	}
}

// intMessage writes an Int.
func intMessage(n int) func([]byte) []byte {
	return func(out []byte) []byte {
		out = protowire.AppendTag(out, 1, protowire.VarintType)
		return protowire.AppendVarint(out, uint64(n))
	}
}

// valueTypes are the types of a google.protobuf.Value's kinds: null, number,
// string, bool, struct and list.
var valueTypes = []protowire.Type{
	1: protowire.VarintType, 2: protowire.Fixed64Type, 3: protowire.BytesType,
	4: protowire.VarintType, 5: protowire.BytesType, 6: protowire.BytesType,
}

// kindsOf returns the string and the list of a google.protobuf.Value, nil if it
// is of another kind.
func kindsOf(value []byte) (text, list []byte, err error) {
	err = fields(value, func(n protowire.Number, typ protowire.Type, raw []byte) error {
		if int(n) < len(valueTypes) && typ != valueTypes[n] {
			return errMessage
		}
		switch n {
		case 3:
			text, _ = protowire.ConsumeBytes(raw)
		case 6:
			list, _ = protowire.ConsumeBytes(raw)
		}
		return nil
	})
	return text, list, err
}

// exitMessage writes ExitArgs.
func exitMessage(status int, body []byte, headers PreparedHeaders) func([]byte) []byte {
	return func(out []byte) []byte {
		out = protowire.AppendTag(out, 1, protowire.VarintType)
		out = protowire.AppendVarint(out, uint64(status))
		out = protowire.AppendTag(out, 2, protowire.BytesType)
		out = protowire.AppendBytes(out, body)
		out = protowire.AppendTag(out, 3, protowire.BytesType)
		return protowire.AppendBytes(out, headers)
	}
}

// call is what Kong calls: an event, or another command in the protocol's own
// types.
type call struct {
	sequence uint64
	event    []byte // CmdHandleEvent; nil if it is another
}

// readCall reads an RpcCall.
func readCall(message []byte) (c call, err error) {
	err = fields(message, func(n protowire.Number, typ protowire.Type, raw []byte) (err error) {
		switch n {
		case 1:
			c.sequence, err = varintOf(typ, raw)
		case 36:
			c.event, err = bytesOf(typ, raw)
		}
		return err
	})
	return c, err
}

// readEvent reads a CmdHandleEvent.
func readEvent(message []byte) (instance int32, phase string, err error) {
	id, err := varint(message, 1)
	if err != nil {
		return 0, "", err
	}
	name, err := field(message, 2)
	return int32(id), phaseOf(name), err
}

// phaseOf is string(name) without an allocation for the usual ones.
func phaseOf(name []byte) string {
	for _, usual := range []string{"access", "response"} {
		if string(name) == usual {
			return usual
		}
	}
	return string(name)
}

// returnMessage writes the RpcReturn to an event.
func returnMessage(sequence uint64) func([]byte) []byte {
	return func(out []byte) []byte {
		out = protowire.AppendTag(out, 1, protowire.VarintType)
		return protowire.AppendVarint(out, sequence)
	}
}
