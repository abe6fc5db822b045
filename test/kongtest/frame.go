package kongtest

import (
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// maxFrame bounds what a plugin can make the gateway allocate. It leaves room
// for the largest body plus its envelope.
const maxFrame = maxBody + 1<<20

// frameHead is the number of bytes before a frame's data: their number.
const frameHead = 4

// readFrame reads a little-endian 32-bit length and that many bytes.
func readFrame(r io.Reader) ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, fmt.Errorf("frame of %d bytes exceeds %d", n, maxFrame)
	}
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	return data, err
}

// writeFrame writes data in one go, as Kong does: half a frame is never
// visible to the plugin for longer than the kernel takes.
func writeFrame(w io.Writer, data []byte) error {
	frame := binary.LittleEndian.AppendUint32(make([]byte, 0, frameHead+len(data)), uint32(len(data)))
	_, err := w.Write(append(frame, data...))
	return err
}

// writeMessage writes m as a frame. A nil m is an empty one.
func writeMessage(w io.Writer, m proto.Message) error {
	data, err := marshal(m)
	if err != nil {
		return err
	}
	return writeFrame(w, data)
}

func marshal(m proto.Message) ([]byte, error) {
	if m == nil {
		return nil, nil
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", m, err)
	}
	return data, nil
}

// exitArgs decodes the arguments of kong.response.exit. One header value that
// isn't UTF-8 costs all headers but neither the status nor the body, so the
// message is taken apart by field instead of as a whole.
func exitArgs(raw []byte) (*kong_plugin_protocol.ExitArgs, error) {
	args := &kong_plugin_protocol.ExitArgs{}
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return nil, fmt.Errorf("exit arguments: %w", protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(number, kind, raw[n:])
		if size < 0 {
			return nil, fmt.Errorf("exit arguments: %w", protowire.ParseError(size))
		}
		value := raw[n : n+size]
		raw = raw[n+size:]
		switch {
		case number == 1 && kind == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(value)
			args.Status = int32(v)
		case number == 2 && kind == protowire.BytesType:
			args.Body, _ = protowire.ConsumeBytes(value)
		case number == 3 && kind == protowire.BytesType:
			headers, _ := protowire.ConsumeBytes(value)
			given := &structpb.Struct{}
			if proto.Unmarshal(headers, given) == nil {
				args.Headers = given
			}
		}
	}
	return args, nil
}
