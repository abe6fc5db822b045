package plugin

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Bounds of a connection of Kong's.
const (
	// maxFrame is the number of bytes that one frame may have. Kong buffers
	// bodies of any size; what is larger ends the event.
	maxFrame = 64 << 20
	// eventTime is how long Kong waits for an event to end.
	eventTime = 60 * time.Second
	// keptBuffer is the number of bytes that a buffer keeps from one event to
	// the next.
	keptBuffer = 64 << 10
)

// wire is a connection of Kong's: frames of a little-endian 32-bit length and
// that many bytes. What is written waits until it is flushed, so that calls
// leave together; Kong answers them in their order. Not for concurrent use.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte // frames that are not sent yet
	read []byte // frames of the present event, one after the other
	owed []bool // the replies to come: whether somebody waits for it
}

// wires keeps the buffers of connections that have ended: every exit costs one.
var wires = sync.Pool{New: func() any { return &wire{in: bufio.NewReader(nil)} }}

// newWire returns the wire on conn. It must be released when nothing that was
// read on it is needed any more.
func newWire(conn net.Conn) *wire {
	w := wires.Get().(*wire)
	w.conn = conn
	w.in.Reset(conn)
	return w
}

func (w *wire) release() {
	w.begin()
	w.conn = nil
	w.in.Reset(nil)
	wires.Put(w)
}

// begin forgets the frames of the event before.
func (w *wire) begin() {
	w.read, w.out, w.owed = w.read[:0], w.out[:0], nil
	if cap(w.read) > keptBuffer {
		w.read = nil
	}
	if cap(w.out) > keptBuffer {
		w.out = nil
	}
}

var errFrameTooLarge = errors.New("frame too large")

// frame reads a frame, which is valid until begin. It waits as long as the
// deadline of the connection allows.
func (w *wire) frame() ([]byte, error) {
	head, err := w.in.Peek(4)
	if err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head)
	_, _ = w.in.Discard(4) // it was peeked
	if size > maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", errFrameTooLarge, size)
	}
	begin := len(w.read)
	w.read = append(w.read, make([]byte, size)...)
	data := w.read[begin:len(w.read):len(w.read)]
	_, err = io.ReadFull(w.in, data)
	return data, err
}

// put adds a frame whose content write appends.
func (w *wire) put(write func(out []byte) []byte) {
	begin := len(w.out)
	w.out = write(append(w.out, 0, 0, 0, 0))
	binary.LittleEndian.PutUint32(w.out[begin:], uint32(len(w.out)-begin-4))
}

func (w *wire) putText(text string) {
	w.put(func(out []byte) []byte { return append(out, text...) })
}

// ask adds a call of the PDK whose reply is read later, in turn with those of
// the other calls.
func (w *wire) ask(method string, args func(out []byte) []byte) { w.call(method, args, true) }

// tell adds a call of the PDK whose reply says nothing.
func (w *wire) tell(method string, args func(out []byte) []byte) { w.call(method, args, false) }

func (w *wire) call(method string, args func(out []byte) []byte, waits bool) {
	w.putText(method)
	w.put(args)
	w.owed = append(w.owed, waits)
}

// reply returns the next reply that somebody waits for, after it sent what
// waits.
func (w *wire) reply() ([]byte, error) {
	if err := w.flush(); err != nil {
		return nil, err
	}
	for len(w.owed) > 0 {
		wanted := w.owed[0]
		w.owed = w.owed[1:]
		if data, err := w.frame(); wanted || err != nil {
			return data, err
		}
	}
	return nil, errors.New("no call has a reply to come")
}

// settle sends what waits and reads the replies that nobody waits for, so that
// the next frame is no reply.
func (w *wire) settle() error {
	if err := w.flush(); err != nil {
		return err
	}
	for range w.owed {
		if _, err := w.frame(); err != nil {
			return err
		}
	}
	w.owed = w.owed[:0]
	return nil
}

func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	return err
}

// hangUp waits until Kong closes the connection, as it does after an exit, and
// closes it. Closing first, with replies unread, could cost Kong the exit.
func (w *wire) hangUp() {
	if w.flush() == nil {
		_, _ = io.Copy(io.Discard, w.in) // until Kong or the deadline ends it
	}
	_ = w.conn.Close()
}
