package plugin

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of an event are read and written field by field: they are small,
// and decoding each into a structure costs more than all else on the socket.
// Their numbers are those of go-pdk's kong_plugin_protocol, with which a test
// compares every one.

var errMessage = errors.New("not a message of the plugin protocol")

// field returns the bytes of the field called number, the last if it comes
// again, and nil if it doesn't come.
func field(message []byte, number protowire.Number) (value []byte, err error) {
	err = fields(message, func(n protowire.Number, typ protowire.Type, raw []byte) {
		if n == number && typ == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(raw)
		}
	})
	return value, err
}

// varint is field for an integer, 0 if it doesn't come.
func varint(message []byte, number protowire.Number) (value uint64, err error) {
	err = fields(message, func(n protowire.Number, typ protowire.Type, raw []byte) {
		if n == number && typ == protowire.VarintType {
			value, _ = protowire.ConsumeVarint(raw)
		}
	})
	return value, err
}

// fields calls each with every field of message.
func fields(message []byte, each func(n protowire.Number, typ protowire.Type, raw []byte)) error {
	for len(message) > 0 {
		number, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errMessage
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(number, typ, message); n < 0 {
			return errMessage
		}
		each(number, typ, message[:n])
		message = message[n:]
	}
	return nil
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
	out := protowire.AppendTag(nil, 3, protowire.BytesType) // even if it is empty: it tells the kind
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

// headerFields are headers as kong.response.exit takes them, a
// google.protobuf.Struct of lists, ready to be sent.
type headerFields []byte

// newHeaderFields prepares headers. An empty list deletes one.
func newHeaderFields(headers map[string][]string) headerFields {
	var out []byte
	for _, name := range sortedNames(headers) {
		list := listMessage(headers[name]...)(nil)
		value := protowire.AppendTag(nil, 6, protowire.BytesType)
		value = protowire.AppendBytes(value, list)
		entry := appendText(nil, 1, name)
		entry = protowire.AppendTag(entry, 2, protowire.BytesType)
		entry = protowire.AppendBytes(entry, value)
		out = protowire.AppendTag(out, 1, protowire.BytesType)
		out = protowire.AppendBytes(out, entry)
	}
	return out
}

// intMessage writes an Int.
func intMessage(n int) func([]byte) []byte {
	return func(out []byte) []byte {
		out = protowire.AppendTag(out, 1, protowire.VarintType)
		return protowire.AppendVarint(out, uint64(n))
	}
}

// headers are those of a request that access looks at.
type headers struct {
	upgrade, contentType, contentEncoding, authorization []string // their lines
	count                                                int      // of the lines of all
}

// readHeaders reads a google.protobuf.Struct whose values are strings and lists
// of strings, with names in lower case.
func readHeaders(message []byte) (h headers, err error) {
	var inner error
	err = fields(message, func(n protowire.Number, typ protowire.Type, raw []byte) {
		if n != 1 || typ != protowire.BytesType {
			return
		}
		entry, _ := protowire.ConsumeBytes(raw)
		name, nameErr := field(entry, 1)
		value, valueErr := field(entry, 2)
		texts, textErr := textsOf(value)
		h.count += len(texts)
		if to := h.named(string(name)); to != nil {
			*to = texts
		}
		inner = errors.Join(inner, nameErr, valueErr, textErr)
	})
	return h, errors.Join(err, inner)
}

func (h *headers) named(name string) *[]string {
	switch name {
	case "upgrade":
		return &h.upgrade
	case "content-type":
		return &h.contentType
	case "content-encoding":
		return &h.contentEncoding
	case "authorization":
		return &h.authorization
	}
	return nil
}

// textsOf reads a google.protobuf.Value that is a string or a list of them.
func textsOf(value []byte) (texts []string, err error) {
	var inner error
	err = fields(value, func(n protowire.Number, typ protowire.Type, raw []byte) {
		if typ != protowire.BytesType {
			return
		}
		text, _ := protowire.ConsumeBytes(raw)
		switch n {
		case 3:
			texts = append(texts, string(text))
		case 6:
			inner = fields(text, func(n protowire.Number, typ protowire.Type, raw []byte) {
				if n == 1 && typ == protowire.BytesType {
					element, _ := protowire.ConsumeBytes(raw)
					one, err := textsOf(element)
					texts, inner = append(texts, one...), errors.Join(inner, err)
				}
			})
		}
	})
	return texts, errors.Join(err, inner)
}

// exitMessage writes ExitArgs.
func exitMessage(status int, body []byte, headers headerFields) func([]byte) []byte {
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
	err = fields(message, func(n protowire.Number, typ protowire.Type, raw []byte) {
		switch {
		case n == 1 && typ == protowire.VarintType:
			c.sequence, _ = protowire.ConsumeVarint(raw)
		case n == 36 && typ == protowire.BytesType:
			c.event, _ = protowire.ConsumeBytes(raw)
		}
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
	return int32(id), string(name), err
}

// returnMessage writes the RpcReturn to an event.
func returnMessage(sequence uint64) func([]byte) []byte {
	return func(out []byte) []byte {
		out = protowire.AppendTag(out, 1, protowire.VarintType)
		return protowire.AppendVarint(out, sequence)
	}
}
