package pdk

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
//
// Nothing in a frame says which question it answers. So after one that can't be
// read the wire is in doubt for the rest of its life: the next bytes could be
// the reply to another question, or an upstream's body in which somebody wrote
// calls. Then no question is asked and nothing is read, but what needs no reply
// can still be written.
type wire struct {
	conn  net.Conn
	in    *bufio.Reader
	out   []byte // frames that are not sent yet
	read  []byte // frames of the present event, one after the other
	owed  []bool // the replies to come: whether somebody waits for it
	doubt error  // why nothing more is read; nil while all is in step
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
	w.conn, w.doubt = nil, nil
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

// distrust puts the wire in doubt because of err, unless it is already, and
// returns the reason.
func (w *wire) distrust(err error) error {
	if w.doubt == nil {
		w.doubt = fmt.Errorf("nothing more is read on this connection: %w", err)
	}
	return w.doubt
}

var errFrameTooLarge = errors.New("frame too large")

// frame reads a frame, which is valid until begin. It waits as long as the
// deadline of the connection allows. An error leaves the wire in doubt.
func (w *wire) frame() ([]byte, error) {
	if w.doubt != nil {
		return nil, w.doubt
	}
	head, err := w.in.Peek(4)
	if err != nil {
		return nil, w.distrust(err)
	}
	size := binary.LittleEndian.Uint32(head)
	_, _ = w.in.Discard(4) // it was peeked
	if size > maxFrame {
		return nil, w.distrust(fmt.Errorf("%w: %d bytes, of %d at most", errFrameTooLarge, size, maxFrame))
	}
	begin := len(w.read)
	if err := w.fill(int(size)); err != nil {
		return nil, w.distrust(err)
	}
	return w.read[begin:len(w.read):len(w.read)], nil
}

// fill reads size bytes. Their memory is allocated as they come, because a head
// alone may promise 64 MiB.
func (w *wire) fill(size int) error {
	for filled := 0; filled < size; {
		n := min(size-filled, max(keptBuffer/4, filled))
		w.read = append(w.read, make([]byte, n)...)
		if _, err := io.ReadFull(w.in, w.read[len(w.read)-n:]); err != nil {
			return err
		}
		filled += n
	}
	return nil
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
// the other calls. A wire in doubt asks nothing.
func (w *wire) ask(method string, args func(out []byte) []byte) {
	if w.doubt == nil {
		w.call(method, args, true)
	}
}

// tell adds a call of the PDK whose reply says nothing.
func (w *wire) tell(method string, args func(out []byte) []byte) { w.call(method, args, false) }

func (w *wire) call(method string, args func(out []byte) []byte, waits bool) {
	w.putText(method)
	w.put(args)
	w.owed = append(w.owed, waits)
}

// reply sends what waits and hands the next reply that somebody waits for to
// read. An error, also one of read's, leaves the wire in doubt: a reply that
// isn't what was asked for may be another question's.
func (w *wire) reply(read func(message []byte) error) error {
	if err := w.flush(); err != nil {
		return err
	}
	for len(w.owed) > 0 && !w.owed[0] {
		if err := w.answer(wellFormed); err != nil {
			return err
		}
	}
	if len(w.owed) == 0 {
		return w.distrust(errors.New("no call has a reply to come"))
	}
	return w.answer(read)
}

// answer hands the reply to the oldest call to read.
func (w *wire) answer(read func(message []byte) error) error {
	message, err := w.frame()
	if err != nil {
		return err
	}
	w.owed = w.owed[1:]
	if err := read(message); err != nil {
		return w.distrust(err)
	}
	return nil
}

// settle sends what waits and reads the replies that nobody waits for, so that
// the next frame is no reply. On a wire in doubt it does neither.
func (w *wire) settle() error {
	if err := w.flush(); err != nil {
		return err
	}
	for len(w.owed) > 0 {
		if err := w.answer(wellFormed); err != nil {
			return err
		}
	}
	return nil
}

// flush sends what waits, unless the wire is in doubt: then Kong may be sending
// and read only afterwards, so that a write could wait for ever.
func (w *wire) flush() error {
	if w.doubt != nil {
		return w.doubt
	}
	return w.write()
}

// write sends what waits. A frame that was sent in part can't be continued, so
// an error closes the connection.
func (w *wire) write() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	if err != nil {
		_ = w.conn.Close()
		return w.distrust(err)
	}
	return nil
}

// hangUp ends the connection: it sends what waits, and discards what Kong still
// sends until Kong closes the connection, or the deadline. Kong may be sending a
// long reply, which it ends before it reads: then both are done at once. Closing
// with bytes unread would be a reset for Kong, which could cost it what was sent.
func (w *wire) hangUp() {
	var ending sync.WaitGroup
	if inStep := w.doubt == nil && len(w.owed) <= 1; inStep { // an exit has no reply
		w.end()
	} else {
		ending.Go(w.end)
	}
	_, _ = io.Copy(io.Discard, w.in)
	ending.Wait()
	_ = w.conn.Close()
}

// end sends what waits and closes this direction of the connection, by which
// Kong knows not to use it again.
func (w *wire) end() {
	if conn, ok := w.conn.(interface{ CloseWrite() error }); w.write() == nil && ok {
		_ = conn.CloseWrite()
	}
}
